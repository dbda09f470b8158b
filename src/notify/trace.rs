//! A run as a trace (OpenTelemetry Protocol 1, OTLP/HTTP with Protobuf): one span for it, and one below it
//! for each of its steps. Counts and names only, as everywhere here.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use crate::remote;

/// Name and version of this program.
const NAME: &str = "affidavit";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a run did, and when by the system's clock.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it began.
    pub begun: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// When each step began, in words of the run's own: the next one ends it.
    pub steps: Vec<(String, SystemTime)>,
    /// Cluster, as configured.
    pub cluster: String,
    /// Origin of the chain.
    pub origin: String,
    /// How it ended: what was sealed, or why nothing was.
    pub result: Result<Sealed, String>,
}

/// What a run sealed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// Number of the bundle.
    pub seq: u64,
    /// Findings.
    pub findings: usize,
    /// Sources that are not in order.
    pub not_in_order: usize,
}

/// Sends a trace to a collector: `address` is its base, below which `/v1/traces` lies.
///
/// # Errors
/// What went wrong.
pub fn send(address: &str, trace: &Trace) -> Result<(), String> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let (trace_id, root) = random.split_at(16);
    let request = request(trace, trace_id, root);
    let url = format!("{}/v1/traces", address.trim_end_matches('/'));
    remote::deliver(&url, "application/x-protobuf", &request.encode_to_vec())
}

fn request(trace: &Trace, trace_id: &[u8], root: &[u8]) -> ExportTraceServiceRequest {
    let mut attributes =
        vec![text("affidavit.cluster", &trace.cluster), text("affidavit.origin", &trace.origin)];
    let status = match &trace.result {
        Ok(sealed) => {
            attributes.push(number("affidavit.bundle.seq", sealed.seq));
            attributes.push(number("affidavit.findings", sealed.findings as u64));
            let sources = sealed.not_in_order as u64;
            attributes.push(number("affidavit.sources.not_in_order", sources));
            Status { code: StatusCode::Ok.into(), message: String::new() }
        }
        Err(reason) => Status { code: StatusCode::Error.into(), message: reason.clone() },
    };
    let mut spans = vec![Span {
        attributes,
        status: Some(status),
        ..span(trace_id, root, "affidavit run", trace.begun, trace.ended)
    }];
    let ends = trace.steps.iter().skip(1).map(|(_, begun)| *begun).chain([trace.ended]);
    for (place, ((name, begun), ended)) in (1_u64..).zip(trace.steps.iter().zip(ends)) {
        // Unlike each other and the root: its number is put over the root's id.
        let id: Vec<u8> = root.iter().zip(place.to_be_bytes()).map(|(a, b)| a ^ b).collect();
        let parent_span_id = root.to_vec();
        spans.push(Span { parent_span_id, ..span(trace_id, &id, name, *begun, ended) });
    }
    let scope =
        InstrumentationScope { name: NAME.into(), version: VERSION.into(), ..Default::default() };
    let resource = Resource {
        attributes: vec![text("service.name", NAME), text("service.version", VERSION)],
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(trace_id: &[u8], id: &[u8], name: &str, begun: SystemTime, ended: SystemTime) -> Span {
    let nanoseconds = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    Span {
        trace_id: trace_id.to_vec(),
        span_id: id.to_vec(),
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(begun),
        end_time_unix_nano: nanoseconds(ended.max(begun)),
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}
