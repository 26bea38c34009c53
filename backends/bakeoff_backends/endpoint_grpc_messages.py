"""The messages of Open Inference Protocol v2 over gRPC that a client needs, described here and made by protobuf.

Described and not generated, because generated files go with one version of protobuf, and in a pool of their own, so
that another library's description of the same messages is not in the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

PACKAGE = "inference"
MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64*")},
    "ModelMetadataResponse": {"inputs": (4, "TensorMetadata*"), "outputs": (5, "TensorMetadata*")},
    "InferTensorContents": {
        "bool_contents": (1, "bool*"),
        "int_contents": (2, "int32*"),
        "int64_contents": (3, "int64*"),
        "uint_contents": (4, "uint32*"),
        "uint64_contents": (5, "uint64*"),
        "fp32_contents": (6, "float*"),
        "fp64_contents": (7, "double*"),
        "bytes_contents": (8, "bytes*"),
    },
    "Tensor": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "int64*"),
        "contents": (5, "InferTensorContents"),
    },
    "RequestedOutput": {"name": (1, "string")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "inputs": (5, "Tensor*"),
        "outputs": (6, "RequestedOutput*"),
        "raw_input_contents": (7, "bytes*"),
    },
    "ModelInferResponse": {"outputs": (5, "Tensor*"), "raw_output_contents": (6, "bytes*")},
}
"""Fields by name: the number in the protocol, and the type, repeated where a star follows. Names of messages are not
sent, and fields that nobody here reads are left out."""


@cache
def messages() -> Mapping[str, Any]:
    """The message classes by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made, word = message.field.add(name=field, number=number), kind.removesuffix("*")
            made.label = field_type.LABEL_REPEATED if kind.endswith("*") else field_type.LABEL_OPTIONAL
            if word in MESSAGES:
                made.type, made.type_name = field_type.TYPE_MESSAGE, f".{PACKAGE}.{word}"
            else:
                made.type = getattr(field_type, f"TYPE_{word.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}
