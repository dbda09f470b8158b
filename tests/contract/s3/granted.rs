//! With valid credentials.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use tokio::runtime::Runtime;

use super::{LOCKED, PLAIN, endpoint};

mod faults;
mod setup;
mod store;

/// What the program never does: make buckets, look at versions, try to delete.
struct Admin {
    runtime: Runtime,
    client: Client,
}

impl Admin {
    fn new() -> Self {
        use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
        let runtime = Runtime::new().unwrap();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .http_client(http)
            .region("us-east-1")
            .endpoint_url(endpoint());
        let config = runtime.block_on(config.load());
        let config = Builder::from(&config).force_path_style(true).build();
        Self { runtime, client: Client::from_conf(config) }
    }
}
