//! Which files carry probes, and attaching them.
