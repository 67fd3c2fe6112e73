//! Ordered frames of any size between two peers, exactly once, until one of them is lost.
