//! `affidavit policy export`

use std::path::PathBuf;

use super::Context;
use crate::checks::{self, Action, Check};
use crate::exit::Exit;
use crate::output::Failure;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Write the built-in checks as ValidatingAdmissionPolicy objects of Kubernetes
    Export(Export),
}

#[derive(clap::Args)]
pub(super) struct Export {
    /// What the API server does with an object that fails
    #[arg(long, value_enum, default_value = "audit")]
    action: What,

    /// Only this check (repeatable): its id, with or without `affidavit:`
    #[arg(long = "check", value_name = "ID")]
    checks: Vec<String>,

    /// Namespaces in which the policies do not hold (repeatable)
    #[arg(long = "exempt", value_name = "NAMESPACE", default_value = "kube-system")]
    exempt: Vec<String>,

    /// Folder for one file per check, instead of standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Refuse it
    Deny,
    /// Admit it and warn its author
    Warn,
    /// Admit it and note it in the audit log
    Audit,
}

pub(super) fn policy(command: &Command, context: &Context) -> Result<Exit, Failure> {
    let Command::Export(arguments) = command;
    let all = checks::load_all().map_err(|error| Failure::new(Exit::Internal, error))?;
    let action = match arguments.action {
        What::Deny => Action::Deny,
        What::Warn => Action::Warn,
        What::Audit => Action::Audit,
    };
    let chosen = choose(&all, &arguments.checks)?;
    let mut left_out = Vec::new();
    let mut documents = Vec::new();
    for check in chosen {
        if let Some(reason) = checks::why_not(check) {
            left_out.push((check.id.as_str(), reason));
            continue;
        }
        let objects = checks::policy(check, action, &arguments.exempt);
        let text = objects.iter().map(yaml).collect::<Result<Vec<_>, _>>()?;
        documents.push((check.id.as_str(), format!("---\n{}", text.join("---\n"))));
    }
    if let Some(folder) = &arguments.out {
        let failed = |error: std::io::Error| Failure::new(Exit::NotFinished, error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        for (id, text) in &documents {
            std::fs::write(folder.join(format!("{id}.yaml")), text).map_err(failed)?;
        }
        context.output.line(format!("{} policies in {}", documents.len(), folder.display()));
    } else {
        for (_, text) in &documents {
            context.output.document(text.trim_end());
        }
    }
    if !left_out.is_empty() {
        context.output.note(format!("{} checks are no admission policies:", left_out.len()));
        for (id, reason) in &left_out {
            context.output.note(format!("  {id}: {reason}"));
        }
    }
    Ok(Exit::Done)
}

fn choose<'c>(all: &'c [Check], wanted: &[String]) -> Result<Vec<&'c Check>, Failure> {
    if wanted.is_empty() {
        return Ok(all.iter().collect());
    }
    wanted
        .iter()
        .map(|id| {
            let id = id.strip_prefix("affidavit:").unwrap_or(id);
            all.iter().find(|check| check.id == id).ok_or_else(|| {
                Failure::new(Exit::Usage, anyhow::anyhow!("there is no check `{id}`"))
                    .help("the files in frameworks/checks are the checks")
            })
        })
        .collect()
}

fn yaml(value: &serde_json::Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new(Exit::Internal, error))
}
