//! OSCAL assessment plan 1.2 (NIST): what the run set out to look at, with what, by which rules. It is the
//! plan that the assessment results of the same bundle import.

use serde_json::{Value, json};

use super::oscal::{line, metadata, property, token, uuid};
use super::{ExportError, ExportFile, Format, json_file};
use crate::sealed::Bundle;

pub(super) struct OscalAp;

impl Format for OscalAp {
    fn id(&self) -> &'static str {
        "oscal-ap"
    }

    fn files(&self, bundle: &Bundle) -> Result<Vec<ExportFile>, ExportError> {
        Ok(vec![json_file("assessment-plan.json", &document(bundle))])
    }
}

fn document(bundle: &Bundle) -> Value {
    let none = uuid(bundle, "no system security plan");
    let selections: Vec<Value> = bundle
        .frameworks
        .iter()
        .map(|(framework, digest)| {
            let controls = framework.controls.iter();
            let include: Vec<Value> =
                controls.map(|control| json!({"control-id": token(&control.id)})).collect();
            json!({
                "description": framework.title,
                "props": [
                    property("framework", &framework.key()),
                    property("mapping-sha256", &digest.to_string()),
                ],
                "include-controls": include,
            })
        })
        .collect();
    // OSCAL wants a selection in any case.
    let selections = if selections.is_empty() {
        vec![json!({"description": "No framework was assessed."})]
    } else {
        selections
    };
    json!({"assessment-plan": {
        "uuid": uuid(bundle, "plan"),
        "metadata": metadata(bundle, "Plan of the assessment of"),
        "import-ssp": {
            "href": format!("#{none}"),
            "remarks": "No system security plan was given to the run.",
        },
        "reviewed-controls": {"control-selections": selections},
        "assessment-subjects": [{
            "type": "component",
            "description": format!("Kubernetes cluster {}", bundle.run.cluster.name),
            "include-all": {},
        }],
        "assessment-assets": {"components": components(bundle), "assessment-platforms": [{
            "uuid": uuid(bundle, "platform"),
            "title": format!("{} {}", bundle.run.tool.name, bundle.run.tool.version),
        }]},
        "tasks": tasks(bundle),
        "back-matter": {"resources": [{
            "uuid": none,
            "title": "System security plan: none was given to the run",
        }]},
    }})
}

/// The scanners that the run expected.
fn components(bundle: &Bundle) -> Vec<Value> {
    let sources = bundle.run.sources.iter();
    let component = |source: &crate::run::Source| {
        json!({
            "uuid": uuid(bundle, &format!("component {}", source.name)),
            "type": "software",
            "title": source.name,
            "description": format!("Output of {}", source.scanner),
            "props": [property("max-age-seconds", &source.max_age_seconds.to_string())],
            "status": {"state": "operational"},
        })
    };
    let program = json!({
        "uuid": uuid(bundle, "component of this program"),
        "type": "software",
        "title": line(&bundle.run.tool.name, "unnamed"),
        "description": "Maps findings onto controls, and seals them",
        "status": {"state": "operational"},
    });
    std::iter::once(program).chain(sources.map(component)).collect()
}

/// One for each source: read its output, if it is not too old.
fn tasks(bundle: &Bundle) -> Vec<Value> {
    let time = &bundle.statement.predicate.time;
    let sources = bundle.run.sources.iter().map(|source| {
        json!({
            "uuid": uuid(bundle, &format!("task {}", source.name)),
            "type": "action",
            "title": format!("Read the output of {}", source.name),
            "description": format!(
                "At least {} files of {}, at most {} seconds old.",
                source.expect_files, source.scanner, source.max_age_seconds
            ),
        })
    });
    let run = json!({
        "uuid": uuid(bundle, "task of the run"),
        "type": "milestone",
        "title": "Assess and seal",
        "timing": {"on-date": {"date": time.created}},
    });
    sources.chain(std::iter::once(run)).collect()
}
