//! Which account may send as which address, remembered for a few seconds so that a flood of mails asks Redis once.
//!
//! Nothing in here lists accounts in an error: those texts reach logs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom_shared::account::{Account, AccountId};
use postroom_shared::address::Address;
use postroom_shared::mail::{Fault, unknown};
use postroom_shared::pool::{Pool, PoolName};
use postroom_shared::queue::Queue;
use postroom_shared::store::StoreError;
use tokio::sync::Mutex;

/// How long a directory is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// The accounts, by what they may write into From.
#[derive(Debug, Default)]
pub struct Directory {
    aliases: HashMap<AccountId, Vec<AccountId>>,
    by_alias: HashMap<AccountId, Vec<AccountId>>,
    pools: HashMap<PoolName, Vec<AccountId>>,
    /// What the accounts of pools have left of their budgets; read only where there are several shards.
    left: HashMap<AccountId, u64>,
}

/// Who sends a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// This account.
    Account(AccountId),
    /// One account of a pool.
    Pool {
        /// The pool.
        pool: PoolName,
        /// Those of its accounts that may send with the mail's From; at least one.
        accounts: Vec<AccountId>,
    },
}

impl Sender {
    /// The same sender, as far as it is one of `allowed`.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn within(self, allowed: &[AccountId]) -> Result<Self, Fault> {
        match self {
            Self::Account(account) if allowed.contains(&account) => Ok(Self::Account(account)),
            Self::Account(_) => Err(fault("account", "whoever hands this mail over may not send with this account")),
            Self::Pool { pool, mut accounts } => {
                accounts.retain(|account| allowed.contains(account));
                if accounts.is_empty() {
                    let message = format!("whoever hands this mail over may not send with any account of pool {pool}");
                    return Err(fault("pool", message));
                }
                Ok(Self::Pool { pool, accounts })
            }
        }
    }

    /// What stands for it in a fingerprint.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Account(account) => account.reveal().as_bytes(),
            Self::Pool { pool, .. } => pool.as_str().as_bytes(),
        }
    }
}

impl Directory {
    /// A directory of these accounts.
    #[must_use]
    pub fn new(accounts: &[Account]) -> Self {
        let mut directory = Self::default();
        for account in accounts.iter().filter(|account| !account.id.is_test()) {
            // An alias is compared as an account's address is: in lower case.
            let aliases: Vec<AccountId> = account.aliases.iter().map(AccountId::from).collect();
            for alias in &aliases {
                directory.by_alias.entry(alias.clone()).or_default().push(account.id.clone());
            }
            directory.aliases.insert(account.id.clone(), aliases);
        }
        directory
    }

    /// Whether there is no account at all, but for that of test mode.
    pub(crate) fn is_empty(&self) -> bool {
        self.aliases.is_empty()
    }

    /// The same directory with pools.
    #[must_use]
    pub fn with_pools(mut self, pools: Vec<Pool>) -> Self {
        self.pools = pools.into_iter().map(|pool| (pool.name, pool.accounts)).collect();
        self
    }

    /// What an account of a pool has left of its budget; 0 if it is held.
    pub(crate) fn left(&self, account: &AccountId) -> u64 {
        self.left.get(account).copied().unwrap_or(0)
    }

    /// The accounts of a pool that may send a mail: those that Gmail lets send with its From.
    ///
    /// # Errors
    /// If there is no such pool, or none of its accounts may.
    pub fn choose_of(&self, from: &Address, pool: &PoolName) -> Result<Sender, Fault> {
        let Some(members) = self.pools.get(pool) else {
            return Err(fault("pool", self.no_such_pool(pool)));
        };
        let from_id = AccountId::from(from);
        let fits = |member: &&AccountId| {
            self.aliases.get(*member).is_some_and(|aliases| from_id == **member || aliases.contains(&from_id))
        };
        let accounts: Vec<AccountId> = members.iter().filter(fits).cloned().collect();
        if accounts.is_empty() {
            let message = format!(
                "Gmail would rewrite From, for {from} is neither the address nor a declared alias of any account of pool \
                 {pool}: declare it with `postroom account add ACCOUNT --alias FROM --keep-credentials` for those that shall \
                 send it; see `postroom pool show {pool}`"
            );
            return Err(fault("from", message));
        }
        Ok(Sender::Pool { pool: pool.clone(), accounts })
    }

    fn no_such_pool(&self, pool: &PoolName) -> String {
        if self.pools.is_empty() {
            return "no pool has been put yet: put one with `postroom pool put NAME ADDRESS...`".to_owned();
        }
        let mut known: Vec<&str> = self.pools.keys().map(PoolName::as_str).collect();
        known.sort_unstable();
        unknown("pool", pool.as_str(), &known)
    }

    /// The account that sends a mail: the one that was asked for, else the one that From belongs to.
    ///
    /// # Errors
    /// If there is none, or Gmail would not let it send as `from`.
    pub fn choose(&self, from: &Address, wanted: Option<&AccountId>) -> Result<AccountId, Fault> {
        let from_id = AccountId::from(from);
        if wanted.is_some_and(AccountId::is_test) {
            let what = "this account is built in, for test mails, and is never named: hand the mail over in test mode (with a \
                        test key, `postroom send --test` or `Draft::as_test`)";
            return Err(fault("account", what));
        }
        if self.is_empty() {
            return Err(fault("from", "no account has been added yet: add one with `postroom account add ADDRESS`"));
        }
        match wanted {
            Some(wanted) => self.check(from, &from_id, wanted),
            None if self.aliases.contains_key(&from_id) => Ok(from_id),
            None => self.by_alias(from, &from_id),
        }
    }

    fn check(&self, from: &Address, from_id: &AccountId, wanted: &AccountId) -> Result<AccountId, Fault> {
        let Some(aliases) = self.aliases.get(wanted) else {
            let known = self.known();
            return Err(fault(
                "account",
                format!("no such account ({known}): add it with `postroom account add ADDRESS`"),
            ));
        };
        if from_id == wanted || aliases.contains(from_id) {
            return Ok(wanted.clone());
        }
        Err(fault(
            "from",
            format!(
                "Gmail would rewrite From to the account's own address, for {from} is no declared alias of it: declare it \
                 with `postroom account add ACCOUNT --alias FROM --keep-credentials`, or send from the account's address"
            ),
        ))
    }

    fn by_alias(&self, from: &Address, from_id: &AccountId) -> Result<AccountId, Fault> {
        match self.by_alias.get(from_id).map_or(&[][..], Vec::as_slice) {
            [only] => Ok(only.clone()),
            [] => Err(fault(
                "from",
                format!(
                    "no account sends as {from} ({}), and Gmail would rewrite it to another account's address: add it \
                     with `postroom account add ADDRESS`, or declare it as an alias with --alias",
                    self.known()
                ),
            )),
            several => Err(fault(
                "account",
                format!("{} accounts declare {from} as an alias: name the one that shall send", several.len()),
            )),
        }
    }

    fn known(&self) -> String {
        match self.aliases.len() {
            1 => "1 account is known, see `postroom account list`".to_owned(),
            count => format!("{count} accounts are known, see `postroom account list`"),
        }
    }
}

fn fault(field: &str, message: impl Into<String>) -> Fault {
    Fault { field: field.to_owned(), message: message.into() }
}

/// The directory that was read last.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<Option<(Instant, Arc<Directory>)>>);

impl Remembered {
    /// A directory that is a few seconds old at most.
    pub(crate) async fn recent(&self, queue: &Queue) -> Result<Arc<Directory>, StoreError> {
        let since = Instant::now().checked_sub(BELIEVED);
        self.read_since(queue, since).await
    }

    /// A directory read at `since` or later. Whoever comes while it is being read waits for that one.
    pub(crate) async fn read_since(&self, queue: &Queue, since: Option<Instant>) -> Result<Arc<Directory>, StoreError> {
        let mut last = self.0.lock().await;
        if let Some((at, directory)) = last.as_ref()
            && since.is_none_or(|since| *at >= since)
        {
            return Ok(Arc::clone(directory));
        }
        let at = Instant::now();
        let (accounts, pools) = (queue.accounts().await?, queue.pools().await?);
        let mut directory = Directory::new(&accounts).with_pools(pools);
        if queue.store().shards() > 1 {
            directory.left = left_of(&directory.pools, queue).await?;
        }
        let directory = Arc::new(directory);
        *last = Some((at, Arc::clone(&directory)));
        Ok(directory)
    }
}

/// What the accounts of pools have left: of those that are held nothing.
async fn left_of(
    pools: &HashMap<PoolName, Vec<AccountId>>,
    queue: &Queue,
) -> Result<HashMap<AccountId, u64>, StoreError> {
    let mut found = HashMap::new();
    for account in pools.values().flatten() {
        if found.contains_key(account) {
            continue;
        }
        let standing = queue.standing(account).await?;
        let free = standing.filter(|standing| standing.account.holds.is_empty());
        let left = free.map_or(0, |standing| standing.budget.messages.left.unwrap_or(u64::from(u32::MAX)));
        found.insert(account.clone(), left);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, aliases: &[&str]) -> Account {
        let aliases = aliases.iter().map(|alias| alias.parse().unwrap()).collect();
        Account { aliases, ..Account::new(id.parse().unwrap()) }
    }

    #[test]
    fn the_account_is_asked_for_or_follows_from_from() {
        let directory = Directory::new(&[
            account("shop@example.com", &["Sales@Example.com", "both@example.com"]),
            account("news@example.com", &["both@example.com", "shop@example.com"]),
        ]);
        let shop = "shop@example.com";
        let table = [
            ("Shop@Example.COM", None, Ok(shop)),
            ("sales@example.com", None, Ok(shop)),
            ("shop@example.com", Some("news@example.com"), Ok("news@example.com")),
            ("both@example.com", Some("SHOP@example.com"), Ok(shop)),
            ("both@example.com", None, Err(("account", "2 accounts declare b***@example.com"))),
            ("other@example.com", None, Err(("from", "no account sends as o***@example.com (2 accounts are known"))),
            ("sales@example.com", Some("news@example.com"), Err(("from", "Gmail would rewrite From"))),
            ("shop@example.com", Some("gone@example.com"), Err(("account", "no such account (2 accounts are known"))),
        ];
        for (from, wanted, expected) in table {
            let wanted: Option<AccountId> = wanted.map(|id| id.parse().unwrap());
            let chosen = directory.choose(&from.parse().unwrap(), wanted.as_ref());
            match expected {
                Ok(id) => assert_eq!(chosen.unwrap().reveal(), id, "{from}"),
                Err((field, words)) => {
                    let fault = chosen.unwrap_err();
                    assert_eq!(fault.field, field, "{fault}");
                    assert!(fault.message.contains(words), "{fault}");
                    assert!(!fault.message.contains("@example.com") || fault.message.contains("***@"), "{fault}");
                }
            }
        }
    }

    #[test]
    fn a_pool_sends_by_those_that_may_write_this_from() {
        let pool = |name: &str, members: &[&str]| Pool {
            name: name.parse().unwrap(),
            accounts: members.iter().map(|id| id.parse().unwrap()).collect(),
        };
        let accounts = [
            account("a@example.com", &["Shop@example.com"]),
            account("b@example.com", &["shop@example.com"]),
            account("c@example.com", &[]),
        ];
        let members = ["a@example.com", "b@example.com", "c@example.com", "gone@example.com"];
        let directory = Directory::new(&accounts).with_pools(vec![pool("shop", &members), pool("news", &members[2..])]);
        let choose = |from: &str, name: &str| directory.choose_of(&from.parse().unwrap(), &name.parse().unwrap());
        let Sender::Pool { accounts, .. } = choose("shop@example.com", "shop").unwrap() else { panic!() };
        assert_eq!(accounts.iter().map(AccountId::reveal).collect::<Vec<_>>(), members[..2]);
        let Sender::Pool { accounts, .. } = choose("c@example.com", "shop").unwrap() else { panic!() };
        assert_eq!(accounts.len(), 1);
        let table = [
            ("shop@example.com", "news", "from", "nor a declared alias of any account of pool news"),
            ("gone@example.com", "shop", "from", "Gmail would rewrite From"),
            ("shop@example.com", "shp", "pool", "unknown pool \"shp\": did you mean \"shop\"?"),
            ("shop@example.com", "elsewhere", "pool", "use one of news, shop"),
        ];
        for (from, name, field, words) in table {
            let fault = choose(from, name).unwrap_err();
            assert!(fault.field == field && fault.message.contains(words), "{fault}");
        }
        let none = Directory::new(&[]).choose_of(&"a@example.com".parse().unwrap(), &"shop".parse().unwrap());
        assert!(none.unwrap_err().message.contains("postroom pool put"));
    }

    #[test]
    fn the_account_of_test_mode_is_no_account_that_sends() {
        let directory = Directory::new(&[Account::new(AccountId::of_test_mode())]);
        assert!(directory.is_empty());
        let of_test_mode = AccountId::of_test_mode();
        let fault = directory.choose(&"test@postroom.test".parse().unwrap(), Some(&of_test_mode)).unwrap_err();
        assert!(fault.field == "account" && fault.message.contains("--test"), "{fault}");
    }

    #[test]
    fn without_accounts_it_says_how_to_add_one() {
        let fault = Directory::default().choose(&"a@example.com".parse().unwrap(), None).unwrap_err();
        assert!(fault.message.contains("postroom account add"), "{fault}");
    }
}
