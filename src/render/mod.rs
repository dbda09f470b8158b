//! Sealed items → report. Templates live in `report-templates/`.

pub mod model;
