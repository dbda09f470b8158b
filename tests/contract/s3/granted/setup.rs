//! Waits until the server accepts writes, which is later than its port answers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;

use super::{Admin, LOCKED, PLAIN};

#[apply(part)]
fn buckets_accept_writes() {
    let admin = Admin::new();
    let start = Instant::now();
    for bucket in [PLAIN, LOCKED] {
        while let Err(error) = write(&admin, bucket) {
            assert!(start.elapsed() < Duration::from_secs(90), "not ready: {error}");
            sleep(Duration::from_millis(250));
        }
    }
}

fn write(admin: &Admin, bucket: &str) -> Result<(), String> {
    admin.runtime.block_on(async {
        let create = admin.client.create_bucket().bucket(bucket);
        let create = create.object_lock_enabled_for_bucket(bucket == LOCKED).send().await;
        if let Err(error) = create
            && error.code() != Some("BucketAlreadyOwnedByYou")
        {
            return Err(format!("{error:?}"));
        }
        let put = admin.client.put_object().bucket(bucket).key("ready");
        let put = put.body(ByteStream::from_static(b"ready")).send().await;
        put.map(drop).map_err(|error| format!("{error:?}"))
    })
}
