//! Rules of the flow by name.
