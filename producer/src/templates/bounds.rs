//! How much a template may do, and how large what it makes may be. docs/templates.md tells the same figures.

/// Steps of one file's rendering, as minijinja counts its fuel: about one an instruction, and one for each 64 bytes that are made.
pub(super) const FUEL: u64 = 500_000;
/// How deep includes (10 each), macros (4 each) and blocks (1 each) may stand in each other.
pub(super) const DEPTH: usize = 150;
/// Bytes of the HTML that is made, before and after the CSS is put in, and of the text.
pub(super) const LARGEST_BODY: usize = 1 << 20;
/// Bytes of the subject that is made.
pub(super) const LARGEST_SUBJECT: usize = 1_000;
/// Bytes of the sample data.
pub(super) const LARGEST_SAMPLE: usize = 64 << 10;
/// Tags in the HTML that is made.
pub(super) const MOST_TAGS: usize = 20_000;
/// Tags that are open at once.
pub(super) const DEEPEST: usize = 200;
/// What a parser may have to open again, for tags such as `<b>` that stay open, in bytes.
pub(super) const MOST_REOPENED: usize = 32 << 20;
/// Selectors in the CSS, times the tags that each is tried on; one that looks at all neighbours counts as many tags again.
pub(super) const MOST_MATCHES: usize = 8_000_000;
/// Characters of a line of text that is made from HTML.
pub(super) const TEXT_WIDTH: usize = 76;
