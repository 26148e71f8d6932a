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
        // Redis makes a script's functions anew at every call, and Lua searches a list for each local that one of them uses,
        // but not for what comes from outside of the function around them, as the keys' names do then.
        text.push_str("return (function()\n");
        for part in parts {
            text.push_str(part);
            text.push('\n');
        }
        text.push_str("end)()\n");
        Self(redis::Script::new(&text))
    }

    /// A call in one shard, to which arguments are added.
    #[must_use]
    pub fn call(&self, keys: &ShardKeys) -> ScriptInvocation<'_> {
        self.0.key(keys.counts())
    }
}
