//! What becomes of rendered HTML: its CSS is put into the elements, and a text is made of it.
//!
//! Both are done by libraries that recurse over the elements and take time with the square of some of them, so the tags are
//! counted first, and what is out of bounds is refused. Nothing in here asks the network or reads a file: a linked style
//! sheet is left as it is.

use std::cell::RefCell;

use css_inline::CSSInliner;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::bounded::Bounded;
use super::bounds::{DEEPEST, LARGEST_BODY, MOST_MATCHES, MOST_REOPENED, MOST_TAGS, TEXT_WIDTH};

/// Elements without an end tag, or whose end tag may be left out and that never stand in each other without another between.
const NOT_NESTED: &[&str] = &[
    "area", "base", "basefont", "bgsound", "body", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "frame",
    "head", "hr", "html", "img", "input", "keygen", "li", "link", "meta", "optgroup", "option", "p", "param", "rp",
    "rt", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];
/// Elements that a parser opens again in each paragraph and cell as long as they are not closed.
const REOPENED: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// Elements past which an end tag does not look.
const BARRIERS: &[&str] = &["applet", "marquee", "object", "table", "template"];
/// Elements in which other rules hold: nothing counts as closed in there.
const STRANGE: &[&str] = &["svg", "math", "select", "frameset"];
/// What an element costs that is opened again, beside its attributes.
const ELEMENT: usize = 200;
/// Words of CSS that look at all of an element's neighbours.
const WIDE: &[&str] = &["~", "nth-", "-of-type", "last-child", "only-child", ":has", ":empty"];

/// Whether HTML is within the bounds that the functions below need.
///
/// # Errors
/// Which bound it passes, and what to do.
pub(super) fn check(html: &str) -> Result<Checked<'_>, String> {
    if html.len() > LARGEST_BODY {
        return Err(format!("the HTML is larger than {} KiB", LARGEST_BODY >> 10));
    }
    let tokenizer = Tokenizer::new(Counter::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    // It stops before the end only for a sink that wants to run scripts.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let counts = tokenizer.sink.0.into_inner();
    if counts.tags > MOST_TAGS {
        return Err(format!("the HTML has {} tags: {MOST_TAGS} at most", counts.tags));
    }
    if counts.deepest > DEEPEST {
        return Err(format!(
            "the HTML has {} tags open at once: {DEEPEST} at most; are some never closed?",
            counts.deepest
        ));
    }
    if counts.reopened > MOST_REOPENED {
        return Err("the HTML leaves tags such as <b>, <a> or <font> open over very much: close them".to_owned());
    }
    let wide = WIDE.iter().map(|word| counts.style.matches(word).count()).sum::<usize>();
    let selectors = counts.style.matches(['{', ',']).count();
    let matches = (selectors + wide.saturating_mul(counts.tags)).saturating_mul(counts.tags);
    if matches > MOST_MATCHES {
        return Err(format!(
            "the CSS has {selectors} selectors for {} tags, which is too much: use fewer",
            counts.tags
        ));
    }
    Ok(Checked { html, has_style: !counts.style.is_empty() })
}

/// HTML within the bounds.
pub(super) struct Checked<'a> {
    html: &'a str,
    has_style: bool,
}

impl Checked<'_> {
    /// The HTML with its CSS in `style` attributes. What cannot stand there (`@media`, `:hover`) stays in a style element.
    pub(super) fn with_css_inlined(&self) -> Result<String, String> {
        if !self.has_style {
            return Ok(self.html.to_owned());
        }
        let inliner = CSSInliner::options()
            .load_remote_stylesheets(false)
            .keep_style_tags(true)
            .keep_link_tags(true)
            .remove_inlined_selectors(true)
            .build();
        let mut out = Bounded::default();
        match inliner.inline_to(self.html, &mut out) {
            Ok(()) => out.text().ok_or_else(|| "the CSS cannot be put into the elements".to_owned()),
            Err(css_inline::InlineError::IO(_)) => {
                Err(format!("with its CSS put into the elements the HTML is larger than {} KiB", LARGEST_BODY >> 10))
            }
            Err(_) => Err("the CSS cannot be put into the elements: it is no CSS".to_owned()),
        }
    }

    /// The HTML as plain text: links as numbers with a list at the end.
    pub(super) fn to_text(&self) -> Result<String, String> {
        let config = html2text::config::plain().raw_mode(true).allow_width_overflow().no_link_wrapping();
        let text = config.string_from_read(self.html.as_bytes(), TEXT_WIDTH);
        let text = text.map_err(|_| "no text can be made of the HTML: give a body.txt".to_owned())?;
        if text.len() > LARGEST_BODY {
            return Err(format!("the text made of the HTML is larger than {} KiB", LARGEST_BODY >> 10));
        }
        let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
        Ok(format!("{}\n", lines.join("\n")))
    }
}

/// Counts tags as a parser would open them, or more, never fewer.
#[derive(Default)]
struct Counter(RefCell<Counts>);

#[derive(Default)]
struct Counts {
    tags: usize,
    /// Elements that are open, each with what opening it again would cost.
    open: Vec<(String, usize)>,
    deepest: usize,
    reopened: usize,
    /// The strange element in which the parser is.
    strange: Option<String>,
    in_style: bool,
    style: String,
}

impl TokenSink for Counter {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut counts = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => counts.start(&tag),
            Token::TagToken(tag) => {
                counts.end(&tag.name);
                TokenSinkResult::Continue
            }
            Token::CharacterTokens(text) => {
                if counts.in_style {
                    counts.style.push_str(&text);
                }
                TokenSinkResult::Continue
            }
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => TokenSinkResult::Continue,
        }
    }
}

impl Counts {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        self.tags += 1;
        self.reopened = self.reopened.saturating_add(self.open.iter().map(|(_, cost)| cost).sum());
        self.in_style = name == "style";
        // Beyond the bound nothing more need be known, and looking through it would take long.
        if !NOT_NESTED.contains(&name) && self.deepest <= DEEPEST {
            let attributes = || tag.attrs.iter().map(|one| one.name.local.len() + one.value.len()).sum::<usize>();
            let cost = if REOPENED.contains(&name) { ELEMENT + attributes() } else { 0 };
            self.open.push((name.to_owned(), cost));
            self.deepest = self.deepest.max(self.open.len());
        }
        if self.strange.is_some() {
            return TokenSinkResult::Continue;
        }
        if STRANGE.contains(&name) {
            self.strange = Some(name.to_owned());
        }
        match name {
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "style" | "iframe" | "xmp" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn end(&mut self, name: &str) {
        self.in_style = false;
        if self.strange.is_some() {
            if self.strange.as_deref() != Some(name) {
                return;
            }
            self.strange = None;
        }
        for at in (0..self.open.len()).rev() {
            if self.open[at].0 == name {
                self.open.remove(at);
                return;
            }
            if BARRIERS.contains(&self.open[at].0.as_str()) {
                return;
            }
        }
    }
}
