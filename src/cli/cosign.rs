//! `affidavit cosign ARCHIVE`: a witness's signature on the head of somebody else's log.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::Context;
use super::disclose::write_new;
use super::trust::{Place, Trust, not_finished, usage};
use super::verify::{exit_of, print_findings, print_verdict};
use super::watch::policy_with_root;
use crate::archive::{self, Put};
use crate::evidence::checkpoint::valid_origin;
use crate::evidence::cosignature::{NoteKey, message};
use crate::evidence::layout;
use crate::exit::Exit;
use crate::output::Failure;
use crate::sign::{self, Secrets};
use crate::verify::pin::Pin;
use crate::verify::{self, Policy};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    trust: Trust,

    /// Your key: a signer's URI, or the path of a key file; not one of the log's
    #[arg(long, value_name = "URI")]
    key: String,

    /// Your name as a witness, like a host and a path: `auditor.example.com/w1`
    #[arg(long)]
    name: String,

    /// Where you remember the largest log that you signed. Nothing shorter or other is signed
    #[arg(long, value_name = "FILE")]
    state: PathBuf,

    /// Check the bundles' files too before signing
    #[arg(long)]
    deep: bool,

    /// Write the cosignature to this file, and not into the archive
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn cosign(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if !valid_origin(&arguments.name) {
        return Err(usage(anyhow!("--name `{}`: no space, plus or control", arguments.name)));
    }
    let mut policy = Policy {
        deep: arguments.deep,
        ..policy_with_root(&arguments.place, &arguments.trust, context)?
    };
    policy.pins.extend(remembered(&arguments.state)?);
    let archive = arguments.place.open(context)?;
    let verdict =
        verify::verify(&*archive, &policy).map_err(|error| arguments.place.unreadable(error))?;
    let exit = exit_of(&verdict, false);
    let head = verdict.head.clone().filter(|head| head.size > 0);
    let (Exit::Done, Some(head)) = (exit, head) else {
        print_findings(&verdict, context.output);
        context.output.line("nothing was signed");
        // What could not be read refutes nothing; an archive without a head is one without evidence.
        let exit = if exit == Exit::NotFinished { exit } else { Exit::NotVerified };
        print_verdict(&verdict, exit, context.output);
        return Ok(exit);
    };

    let signer = sign::open(&arguments.key, &Secrets::from_environment())
        .map_err(|error| Failure { help: error.help(), ..usage(error.into()) })?;
    let witness = NoteKey::witness(&arguments.name, signer.public_key().clone());
    let seconds = u64::try_from(context.now.as_second()).unwrap_or_default();
    let signature = signer.sign(message(seconds, &head).as_bytes()).map_err(not_finished)?;
    let line = format!("{}\n", witness.cosignature(seconds, &signature).line());
    let pin = Pin::from(head);
    // First remembered, then given away: a witness that forgets could sign two histories.
    remember(&arguments.state, &pin)?;
    let path = match &arguments.file {
        Some(file) => {
            write_new(file, line.as_bytes())?;
            file.display().to_string()
        }
        None => publish(arguments, context, &pin, &line)?,
    };
    let output = context.output;
    if output.is_json() {
        output.json(&serde_json::json!({
            "cosignature": path, "head": pin.line(), "witness": witness.to_text(),
        }));
        return Ok(Exit::Done);
    }
    output.line(format!("cosigned  {}", pin.line()));
    output.line(format!("written   {path}"));
    output.note("For the policy of who relies on you:");
    output.note(format!("witness {} {}", arguments.name, witness.to_text()));
    Ok(Exit::Done)
}

fn publish(
    arguments: &Arguments,
    context: &Context,
    pin: &Pin,
    line: &str,
) -> Result<String, Failure> {
    if Path::new(&arguments.place.archive).is_file() {
        return Err(usage(anyhow!("{} cannot be added to", arguments.place.archive))
            .help("write the cosignature to a file of its own with --file"));
    }
    let store = archive::open(&arguments.place.location(), context.now)
        .map_err(|error| Failure { help: error.help(), ..not_finished(error) })?;
    let path = layout::cosignature(pin.size, &arguments.name);
    match store.put_new(&path, line.as_bytes()) {
        Ok(Put::Created | Put::Same) => Ok(path),
        Ok(Put::Other) => {
            Err(not_finished(anyhow!("{path} is there already: this head was cosigned before")))
        }
        Err(error) => Err(Failure { help: error.help(), ..not_finished(error) }),
    }
}

fn remembered(path: &Path) -> Result<Option<Pin>, Failure> {
    let name = || format!("--state {}", path.display());
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Pin::parse(&text).with_context(name).map_err(usage)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(usage(anyhow::Error::new(error).context(name()))),
    }
}

fn remember(path: &Path, pin: &Pin) -> Result<(), Failure> {
    use std::io::Write as _;
    let partial = path.with_extension("partial");
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        file.write_all(format!("{}\n", pin.line()).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    });
    written.with_context(|| format!("--state {}", path.display())).map_err(not_finished)
}
