//! Messages to an address, in the form that its reader expects.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::alert::{Alert, Kind, Standing};
use crate::config::{Address, Format, Webhook};
use crate::evidence::instant;
use crate::remote;

/// `schema` of the plain form.
const SCHEMA: &str = "urn:affidavit:notice:v1";

/// Longest name of a file that is read for an address.
const MAX_ADDRESS: u64 = 8 << 10;

/// So long after the next run is due, Alertmanager takes an alert for resolved if it is not sent again:
/// a run takes its time.
const GRACE: SignedDuration = SignedDuration::from_hours(2);

/// The same without a schedule.
const UNSCHEDULED: SignedDuration = SignedDuration::from_hours(48);

/// Sends what is wanted. People are written to only when there is something; Alertmanager always, so
/// that what is over is resolved.
pub(super) fn send(
    webhook: &Webhook,
    standing: &Standing,
    alerts: &[&Alert],
) -> Result<(), String> {
    if alerts.is_empty() && webhook.format != Format::Alertmanager {
        return Ok(());
    }
    let link = webhook
        .link
        .replace("{cluster}", &standing.cluster)
        .replace("{bundle}", &standing.seq.map_or_else(String::new, |seq| seq.to_string()));
    let body = match webhook.format {
        Format::Json => plain(standing, alerts, &link),
        Format::Slack => slack(standing, alerts, &link),
        Format::Teams => teams(standing, alerts, &link),
        Format::Alertmanager => alertmanager(webhook, standing, alerts, &link, Timestamp::now()),
    };
    remote::deliver(&address(webhook)?, "application/json", &body.to_string().into_bytes())
}

/// Where a webhook's messages go.
///
/// # Errors
/// Why its file cannot be read.
pub fn address(webhook: &Webhook) -> Result<String, String> {
    match &webhook.address {
        Address::Url(url) => Ok(url.clone()),
        Address::File(path) => {
            let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
            if length > MAX_ADDRESS {
                return Err(format!("{} is too long for an address", path.display()));
            }
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            Ok(text.trim().to_owned())
        }
    }
}

fn title(standing: &Standing) -> String {
    match standing.seq {
        Some(seq) => {
            format!("Affidavit: {}, bundle {seq} of {}", standing.cluster, standing.origin)
        }
        None => format!("Affidavit: {}, {}", standing.cluster, standing.origin),
    }
}

/// How each framework stands, in one line each; coverage stands beside the score.
fn lines(standing: &Standing) -> Vec<String> {
    let line = |(key, counts): &(String, crate::assessment::StatusCounts)| {
        format!(
            "{key}: {} satisfied of {} assessed of {} that apply",
            counts.satisfied,
            counts.assessed(),
            counts.applicable()
        )
    };
    standing.frameworks.iter().map(line).collect()
}

fn plain(standing: &Standing, alerts: &[&Alert], link: &str) -> Value {
    let mut body = json!(standing);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("schema".to_owned(), SCHEMA.into());
        fields.insert("alerts".to_owned(), json!(alerts));
        fields.insert("link".to_owned(), link.into());
    }
    body
}

/// Slack reads three characters as markup (its "Formatting text for app surfaces").
fn slack(standing: &Standing, alerts: &[&Alert], link: &str) -> Value {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut said = vec![format!("*{}*", escape(&title(standing)))];
    for alert in alerts {
        let mark = if alert.kind.is_critical() { ":red_circle:" } else { ":large_yellow_circle:" };
        said.push(format!("{mark} {}: {}", alert.kind.as_str(), escape(&alert.text)));
    }
    said.extend(lines(standing).iter().map(|line| escape(line)));
    if !link.is_empty() {
        said.push(format!("<{link}|Read on>"));
    }
    json!({ "text": said.join("\n") })
}

fn teams(standing: &Standing, alerts: &[&Alert], link: &str) -> Value {
    let mut blocks = vec![
        json!({"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": title(standing)}),
    ];
    for alert in alerts {
        let color = if alert.kind.is_critical() { "Attention" } else { "Warning" };
        let text = format!("{}: {}", alert.kind.as_str(), alert.text);
        blocks.push(json!({"type": "TextBlock", "wrap": true, "color": color, "text": text}));
    }
    for line in lines(standing) {
        blocks.push(json!({"type": "TextBlock", "wrap": true, "isSubtle": true, "text": line}));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    });
    if !link.is_empty()
        && let Some(card) = card.as_object_mut()
    {
        let action = json!([{"type": "Action.OpenUrl", "title": "Read on", "url": link}]);
        card.insert("actions".to_owned(), action);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// One alert of each kind that is wanted; those that do not hold end now.
fn alertmanager(
    webhook: &Webhook,
    standing: &Standing,
    alerts: &[&Alert],
    link: &str,
    now: Timestamp,
) -> Value {
    let next = instant::parse(&standing.next).filter(|next| *next > now);
    let until = match next {
        Some(next) => next.checked_add(GRACE),
        None => now.checked_add(UNSCHEDULED),
    };
    let until = until.unwrap_or(now);
    let one = |kind: &Kind| {
        let alert = alerts.iter().find(|alert| alert.kind == *kind);
        let mut body = json!({
            "labels": {
                "alertname": "Affidavit",
                "kind": kind.as_str(),
                "severity": if kind.is_critical() { "critical" } else { "warning" },
                "cluster": standing.cluster,
                "origin": standing.origin,
            },
            "annotations": {
                "summary": alert.map_or("", |alert| alert.text.as_str()),
                "count": alert.map_or(0, |alert| alert.count).to_string(),
            },
            "endsAt": instant::format(if alert.is_some() { until } else { now }),
        });
        if !link.is_empty()
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("generatorURL".to_owned(), link.into());
        }
        body
    };
    webhook.on.iter().map(one).collect()
}
