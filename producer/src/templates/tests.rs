//! Templates as an app writes them, and as an enemy would. Which variables are given is not the template's writer's choice.

use std::time::{Duration, Instant};

use super::*;

/// Longer than any rendering takes on a busy machine, and far shorter than one without a bound.
const SOON: Duration = Duration::from_secs(20);

fn name() -> TemplateName {
    "welcome".parse().unwrap()
}

fn source(html: &str) -> TemplateSource {
    TemplateSource { subject: "Hi".to_owned(), html: Some(html.to_owned()), ..TemplateSource::default() }
}

fn with_parts(html: &str, parts: &[(&str, &str)]) -> TemplateSource {
    let parts = parts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    TemplateSource { parts, ..source(html) }
}

fn render(source: &TemplateSource, variables: &Value) -> Result<Rendered, TemplateFault> {
    Compiled::new(&name(), source).unwrap().render(variables)
}

fn html(html: &str, variables: &Value) -> String {
    render(&source(html), variables).unwrap().html.unwrap()
}

fn fault(html: &str, variables: &Value) -> String {
    let begun = Instant::now();
    let told = render(&source(html), variables).unwrap_err().to_string();
    assert!(begun.elapsed() < SOON, "{:?} for {told}", begun.elapsed());
    told
}

fn refused(source: &TemplateSource) -> String {
    let faults = Compiled::checked(&name(), source).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_mail_is_made_of_subject_html_and_text() {
    let source = TemplateSource {
        subject: "Order {{ order.number }}\n".to_owned(),
        html: Some("{% extends \"layout\" %}\n{% block main %}<p>Hello {{ user.name }}</p>{% endblock %}".to_owned()),
        text: Some("Hello {{ user.name }}{% include \"footer\" %}\n".to_owned()),
        ..with_parts(
            "",
            &[
                ("layout.html", "<h1>Shop</h1>{% block main %}{% endblock %}{% include \"footer\" %}"),
                ("footer.html", "<hr>&copy; {{ shop | default('Shop') }}"),
                ("footer.txt", "\n-- \nShop"),
            ],
        )
    };
    let variables = json!({ "user": { "name": "Ann & Bob <b>" }, "order": { "number": 7 } });
    let Rendered { subject, html, text } = render(&source, &variables).unwrap();
    assert_eq!(subject, "Order 7");
    assert_eq!(html.unwrap(), "<h1>Shop</h1><p>Hello Ann &amp; Bob &lt;b&gt;</p><hr>&copy; Shop");
    assert_eq!(text.unwrap(), "Hello Ann & Bob <b>\n-- \nShop");
    let names = Compiled::new(&name(), &source).unwrap().variables();
    assert!(["order.number", "user.name"].iter().all(|name| names.contains(*name)), "{names:?}");
}

#[test]
fn css_goes_into_the_elements_and_what_cannot_stays() {
    let page = "<html><head><style>p { color: red } p:hover { color: blue } @media (max-width: 9px) { p { margin: 0 } }</style>\
                <link rel=\"stylesheet\" href=\"https://example.com/x.css\"></head><body><p>Hi</p></body></html>";
    let made = html(page, &json!({}));
    assert!(made.contains("<p style=\"color: red;\">Hi</p>"), "{made}");
    assert!(made.contains("p:hover") && made.contains("@media (max-width: 9px)"), "{made}");
    assert!(made.contains("https://example.com/x.css") && !made.contains("<style>p { color: red }"), "{made}");
    let fragment = "<p class=\"a\">no style, so it stays as it is<br></P>";
    assert_eq!(html(fragment, &json!({})), fragment);
}

#[test]
fn a_text_is_made_of_the_html() {
    let page = "<style>p { color: red }</style><h1>Order 7</h1><p>Thank you, <b>Ann</b>.</p><ul><li>one</li><li>two</li></ul>\
                <p>See <a href=\"https://example.com/o/7\">your order</a>.</p>";
    let text = render(&source(page), &json!({})).unwrap().text.unwrap();
    for words in ["Order 7", "Thank you, ", "* one\n* two", "[your order][1]", "[1]: https://example.com/o/7"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(!text.contains("color") && text.ends_with('\n'), "{text}");
}

#[test]
fn a_fault_names_file_line_and_variable() {
    let given = json!({ "user": { "name": "Ann" }, "order": 7, "ann@example.org": 1 });
    let table = [
        (
            "<p>\n\n{{ user.nane }}",
            "welcome/body.html, line 3: \"user.nane\" is undefined; given: user.name, a***@example.org, order, user",
        ),
        ("{{ oder }}", "welcome/body.html, line 1: \"oder\" is undefined; given: a***@example.org, order, user"),
        ("{% if oder %}{% endif %}", "\"oder\" is undefined"),
        ("{{ order.number }}", "\"order.number\" is undefined"),
        ("{% for x in oder.lines %}{% endfor %}", "\"oder\" is undefined"),
        ("\n{{ order | nosuch }}", "welcome/body.html, line 2: unknown filter: filter nosuch is unknown"),
        ("{{ user }}", "an object cannot be printed: name one of its fields"),
        ("{{ [1, 2] }}", "a list cannot be printed: use a loop"),
        ("{{ user.name + 1 }}", "tried to use + operator on unsupported types string and number"),
        ("{{ user.name | int }}", "invalid float literal"),
        ("{% include order ~ '' %}", "there is no such part: put it into _parts"),
    ];
    for (page, words) in table {
        let told = fault(page, &given);
        assert!(told.contains(words), "{told}\n{words}");
        assert!(!told.contains("Ann"), "{told}");
    }
    assert!(fault("{{ x }}", &json!({})).ends_with("\"x\" is undefined; no variables were given"));
    let part = with_parts("<p>\n{% include \"footer\" %}", &[("footer.html", "\n\n\n{{ shop.name }}")]);
    let told = render(&part, &given).unwrap_err().to_string();
    assert!(told.starts_with("_parts/footer.html, line 4: \"shop\" is undefined; given: "), "{told}");
}

#[test]
fn a_template_that_cannot_work_is_not_put() {
    let table = [
        (source("<p>\n{% if %}"), "welcome/body.html, line 2: syntax error: "),
        (
            source("{% extends 'layout' %}"),
            "welcome/body.html, line 1: there is no _parts/layout.html: put it into _parts",
        ),
        (with_parts("x", &[("../x.html", "")]), "not the name of a part"),
        (TemplateSource { sample: Some(json!({ "a": 1 })), ..source("{{ b }}") }, "\"b\" is undefined; given: a"),
        (TemplateSource { sample: Some(json!([])), ..source("x") }, "welcome/sample.json: not an object"),
        (TemplateSource { sample: Some(json!({ "a": "x".repeat(70_000) })), ..source("x") }, "68 KiB: 64 at most"),
        (TemplateSource { html: None, ..source("") }, "no body: give body.html, body.txt or both"),
        (source(&"x".repeat(600_000)), "585 KiB with its parts: 512 at most"),
    ];
    for (source, words) in table {
        let told = refused(&source);
        assert!(told.contains(words), "{told}\n{words}");
    }
}

#[test]
fn a_subject_is_one_line() {
    let subject = |subject: &str, a: &str| {
        let source = TemplateSource { subject: subject.to_owned(), ..source("x") };
        render(&source, &json!({ "a": a })).map(|made| made.subject).map_err(|fault| fault.to_string())
    };
    assert_eq!(subject("\n Hi {{ a }} \n", "<Ann>").unwrap(), "Hi <Ann>");
    for a in ["x\nBcc: eve@example.org", "x\r", "a\u{0}"] {
        let told = subject("Hi {{ a }}.", a).unwrap_err();
        assert!(told.starts_with("welcome/subject.txt: the subject has a line end"), "{told}");
        assert!(!told.contains("eve"), "{told}");
    }
    assert!(subject("{{ a }}", &"x".repeat(1_001)).unwrap_err().contains("1001 bytes: 1000 at most"));
}

#[test]
fn what_does_too_much_ends_soon() {
    let big = "{% for i in range(10000) %}{% for j in range(10000) %}";
    let table = [
        (format!("{big}{{% endfor %}}{{% endfor %}}"), "more than 500000 steps"),
        (format!("{big}{}{{% endfor %}}{{% endfor %}}", "x".repeat(100)), "it makes more than 1024 KiB"),
        ("{{ 'x' * 99999999 }}".to_owned(), "steps"),
        ("{{ ('x' * 100000) | replace('x', 'y' * 100000) }}".to_owned(), "steps"),
        ("{{ '%999999999d' | format(1) }}".to_owned(), "steps"),
        ("{{ 'x' | indent(999999999) }}".to_owned(), "steps"),
        ("{{ range(1) | batch(999999999, 'x') | list | length }}".to_owned(), "steps"),
        ("{% for i in range(10000) %}{{ range(10000) | sort | list | length }}{% endfor %}".to_owned(), "steps"),
        ("{{ [1] * 99999999 }}".to_owned(), "a list cannot be printed"),
        ("{% set all = namespace(x=[]) %}".to_owned(), "namespace is unknown"),
        ("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}".to_owned(), "too deeply (150 levels)"),
        ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(), "too deeply"),
        ("{% block a %}{{ self.a() }}{% endblock %}".to_owned(), "too deeply"),
    ];
    for (page, words) in table {
        let told = fault(&page, &json!({}));
        assert!(told.contains(words), "{told}\n{words}");
    }
    let itself = with_parts("{% include 'a' %}", &[("a.html", "{% include 'b' %}"), ("b.html", "{% include 'a' %}")]);
    let told = render(&itself, &json!({})).unwrap_err().to_string();
    assert!(told.contains("too deeply"), "{told}");
}

#[test]
fn html_that_would_cost_too_much_is_refused() {
    let table = [
        ("<div>".repeat(201), "201 tags open at once: 200 at most"),
        ("<div></b></span>".repeat(201), "201 tags open at once"),
        ("<div><object></div>".repeat(101), "tags open at once"),
        ("<svg>".to_owned() + &"<g></g>".repeat(201), "tags open at once"),
        ("<textarea></div><div></textarea><div>".repeat(201), "201 tags open at once"),
        ("<p>".repeat(20_001), "20001 tags: 20000 at most"),
        (
            format!("<b id=\"{}\">{}", "x".repeat(10_000), "<p>".repeat(10_000)),
            "leaves tags such as <b>, <a> or <font> open",
        ),
        (
            format!("<style>{}</style>{}", "a{}".repeat(1_000), "<p>".repeat(10_000)),
            "selectors for 10001 tags, which is too much",
        ),
        (format!("<style>a~b{{}}</style>{}", "<p>".repeat(10_000)), "which is too much"),
        (
            format!("<style>p {{ background: url({}) }}</style>{}", "x".repeat(10_000), "<p>".repeat(1_000)),
            "with its CSS put into the elements the HTML is larger than 1024 KiB",
        ),
    ];
    for (page, words) in table {
        let told = fault(&page, &json!({}));
        assert!(told.contains(words) && told.starts_with("welcome/body.html: "), "{told}\n{words}");
    }
}

#[test]
fn html_at_the_bounds_does_no_harm() {
    let deep = |open: &str, close: &str| {
        let many = 200 / open.matches('<').count();
        format!("<style>div {{ color: red }}</style>{}x{}", open.repeat(many - 1), close.repeat(many - 1))
    };
    let pages = [
        deep("<div>", "</div>"),
        deep("<b>", "</b>"),
        deep("<table><tr><td>", "</td></tr></table>"),
        deep("<blockquote><ul><li>", "</li></ul></blockquote>"),
        format!("<style>{}</style>{}", ".a .b .c .e { color: red }".repeat(400), "<p class=e>x</p>".repeat(19_000)),
        format!("<style>p:nth-child(2n) {{ color: red }}</style>{}", "<p>x</p>".repeat(2_700)),
        format!("<table>{}</table>", "<tr><td>x<td>y".repeat(6_000)),
    ];
    for page in pages {
        let begun = Instant::now();
        let made = render(&source(&page), &json!({})).unwrap();
        assert!(made.text.is_some_and(|text| text.contains('x')));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[test]
fn whatever_is_given_to_the_fuzzers_entry_comes_to_an_end() {
    assert_eq!(render_untrusted(b"Hi {{ user.name }}\0<p>{{ user.name }}").unwrap().subject, "Hi Ann <b>");
    let made = render_untrusted(b"s\0{% extends 'part' %}\0t\0{{ user.age }}").unwrap();
    assert_eq!((made.html.as_deref(), made.text.as_deref()), (Some("42"), Some("t")));
    for bytes in [&b""[..], b"\xff\xfe", b"{{", b"a\0{% include 'part' %}", b"a\0b\0c\0{% include 'part' %}"] {
        if let Err(faults) = render_untrusted(bytes) {
            assert!(faults.iter().all(|fault| !fault.message.is_empty()));
        }
    }
}
