//! OSCAL plan of action and milestones 1.2 (NIST): an item for everything that remains, be it a failure,
//! a waiver that ends, or evidence that is missing.

use serde_json::{Value, json};

use super::oscal::{
    Observations, add_lists, control_uuid, finding, is_failing, line, metadata, property, risk,
    uuid,
};
use super::{ExportError, ExportFile, Format, controls, json_file, status_text};
use crate::assessment::Status;
use crate::framework::Control;
use crate::record::ControlItem;
use crate::sealed::Bundle;

pub(super) struct OscalPoam;

impl Format for OscalPoam {
    fn id(&self) -> &'static str {
        "oscal-poam"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![json_file("poam.json", &document(bundle))])
    }
}

fn document(bundle: &Bundle) -> Value {
    let (mut observations, mut risks, mut findings, mut items) = (vec![], vec![], vec![], vec![]);
    for (framework, _) in &bundle.frameworks {
        let key = framework.key();
        let mut seen = Observations::of(bundle, framework);
        for (control, item) in controls(bundle, framework).filter(|(_, item)| remains(item)) {
            items.push(poam_item(bundle, &key, control, item));
            if is_failing(item) {
                risks.push(risk(bundle, &key, control, item));
                findings.extend(finding(bundle, &key, control, item, &seen));
            }
        }
        observations.append(&mut seen.all);
    }
    // OSCAL wants an item in any case.
    if items.is_empty() {
        let text = "Every control that applies is satisfied or supported.";
        items.push(json!({"title": "Nothing remains", "description": text}));
    }
    let mut plan = json!({
        "uuid": uuid(bundle, "poam"),
        "metadata": metadata(bundle, "What remains to be done at"),
        "poam-items": items,
    });
    if let Value::Object(fields) = &mut plan {
        let cluster = &bundle.run.cluster;
        let id = if cluster.uid.is_empty() { &cluster.name } else { &cluster.uid };
        fields.insert("system-id".to_owned(), json!({"id": id}));
    }
    let lists = [("observations", observations), ("risks", risks), ("findings", findings)];
    add_lists(&mut plan, lists);
    json!({"plan-of-action-and-milestones": plan})
}

fn remains(item: &ControlItem) -> bool {
    !matches!(item.status, Status::Satisfied | Status::Supported | Status::NotApplicable)
}

fn poam_item(bundle: &Bundle, key: &str, control: &Control, item: &ControlItem) -> Value {
    let missing = matches!(item.status, Status::Manual | Status::NotAssessed);
    let what = if missing { &control.remaining_evidence } else { &control.remediation };
    let what = line(what, "No advice.");
    let mut entry = json!({
        "uuid": control_uuid(bundle, "poam-item", key, control),
        "title": format!("{key} {} {}", control.id, control.title),
        "description": format!("{} {what}", item.explanation).trim(),
        "props": [property("status", &status_text(item))],
    });
    if is_failing(item) {
        let of = |what: &str| control_uuid(bundle, what, key, control);
        let (finding, risk) = (of("finding"), of("risk"));
        let findings = vec![json!({"finding-uuid": finding})];
        let risks = vec![json!({"risk-uuid": risk})];
        add_lists(&mut entry, [("related-findings", findings), ("related-risks", risks)]);
    }
    entry
}
