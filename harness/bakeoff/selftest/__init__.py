"""A test of the measuring itself, on a service whose true latencies are known, beside MLPerf LoadGen if asked."""
