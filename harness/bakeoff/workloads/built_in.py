"""The built-in workloads by name. Each lives in a file of its own, imported only by the child that prepares it."""

from __future__ import annotations

BUILT_IN = {
    "ctr-dlrm": "bakeoff.workloads.ctr_dlrm:CtrDlrm",
    "search-biencoder": "bakeoff.workloads.search_biencoder:SearchBiencoder",
    "wide-ctr-scale": "bakeoff.workloads.wide_ctr_scale:WideCtrScale",
}
