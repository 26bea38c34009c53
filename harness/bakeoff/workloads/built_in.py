"""The built-in workloads by name. Each lives in a file of its own, imported only by the child that prepares it."""

from __future__ import annotations

BUILT_IN = {
    "ctr-dlrm": "bakeoff.workloads.ctr_dlrm:CtrDlrm",
    "feed-sasrec": "bakeoff.workloads.feed_sasrec:FeedSasrec",
    "product-category": "bakeoff.workloads.product_category:ProductCategory",
    "search-biencoder": "bakeoff.workloads.search_biencoder:SearchBiencoder",
    "two-tower": "bakeoff.workloads.two_tower:TwoTowers",
    "wide-ctr-scale": "bakeoff.workloads.wide_ctr_scale:WideCtrScale",
}
