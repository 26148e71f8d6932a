//! Resend's official SDKs, unmodified but for address and key, against `postroom serve`. `make test-sdks` installs those of
//! npm and PyPI and runs this. Every test runs with each SDK, on servers of its own, and compares what the SDK was told with
//! what the stand-in for Gmail caught.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what failed by failing")]
#![allow(missing_docs, unreachable_pub, reason = "one binary: nothing in it is public")]

/// Each test once for every SDK.
macro_rules! with_each_sdk {
    ($($test:ident),+ $(,)?) => {
        with_each_sdk!(@ node Node: $($test),+);
        with_each_sdk!(@ python Python: $($test),+);
        with_each_sdk!(@ python_async PythonAsync: $($test),+);
        with_each_sdk!(@ rust Rust: $($test),+);
    };
    (@ $module:ident $kind:ident: $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::api::Api::start(crate::sdk::Kind::$kind).await).await;
                }
            )+
        }
    };
}

mod api;
mod attaching;
mod batches;
mod caught;
mod documented;
mod errors;
mod frameworks;
mod idempotency;
mod keys;
mod listing;
mod rust;
mod scheduling;
mod sdk;
mod sending;
