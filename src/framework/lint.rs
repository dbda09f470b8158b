//! What a framework file must not do.
