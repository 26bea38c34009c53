"""The built-in workloads by name. Each lives in a file of its own, imported only by the child that prepares it."""

from __future__ import annotations

BUILT_IN = {
    "ctr-dlrm": "bakeoff.workloads.ctr_dlrm:CtrDlrm",
    "feed-sasrec": "bakeoff.workloads.feed_sasrec:FeedSasrec",
    "search-biencoder": "bakeoff.workloads.search_biencoder:SearchBiencoder",
}
