//! End-to-end tests: one module a behaviour, each with servers of its own on free loopback ports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what failed by failing"
)]
#![allow(unreachable_pub, missing_docs, reason = "one binary: nothing in it is public")]

mod api_abuse;
mod api_abuse_bodies;
mod api_emails;
mod api_find;
mod api_keys;
mod api_kills;
mod api_redis_trouble;
mod api_stop;
mod api_templates;
mod audit;
mod client_trouble;
mod client_ways;
mod dashboard_access;
mod dashboard_audit;
mod dashboard_links;
mod dashboard_live;
mod dashboard_pages;
mod dashboard_speed;
mod doctor;
mod doctor_around;
mod doubt;
mod fleet;
mod holds;
mod login;
mod outlook;
mod parting;
mod pools;
mod pools_sending;
mod queue_accounts;
mod queue_dead;
mod queue_dead_limits;
mod queue_find;
mod queue_leases;
mod queue_limits;
mod queue_order;
mod queue_pages;
mod queue_scale;
mod queue_schedule;
mod redis_groups;
mod redis_rights;
mod scaling;
mod secrets;
mod secrets_records;
mod secrets_rotation;
mod sending;
mod sent;
mod service_accounts;
mod siege;
mod support;
mod telemetry_health;
mod telemetry_metrics;
mod telemetry_queue;
mod telemetry_traces;
mod test_mode;
mod tidy;
mod tidy_k8s;
mod token_load;
mod token_trouble;
mod worker_guards;
mod worker_idle;
mod worker_life;
mod worker_memory;
