//! A Lua script with the names of the keys put before it.

use redis::ScriptInvocation;

use super::keys::{ShardKeys, lua_prelude};

/// A script of the queue or of the tokens. It is loaded when Redis does not know it yet.
pub struct Script(redis::Script);

impl Script {
    /// A script made of parts that share their locals.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        let mut text = lua_prelude();
        for part in parts {
            text.push_str(part);
            text.push('\n');
        }
        Self(redis::Script::new(&text))
    }

    /// A call in one shard, to which arguments are added.
    #[must_use]
    pub fn call(&self, keys: &ShardKeys) -> ScriptInvocation<'_> {
        self.0.key(keys.counts())
    }
}
