use serde_json::json;

use super::*;

fn script(source: &str) -> Script {
    let mut problems = Problems::new();
    let source = json!(source);
    let script = Script::read(&Section::root(&source), &mut problems);
    script.unwrap_or_else(|| panic!("{problems:?}"))
}

fn caller(source: &str) -> Caller {
    Caller::new(&script(source))
}

fn ask<'a>(function: &'a str, fields: &'a Fields) -> Call<'a> {
    Call {
        function,
        first: First::Fields(fields),
        frame: Some(b"\x01\xff"),
        device: Some("d-1"),
    }
}

/// What the function `f` of a caller says, as JSON, or why it says nothing.
fn said(caller: &Caller) -> String {
    let fields = Fields::from_iter([
        ("n".into(), Value::integer(7)),
        ("big".into(), Value::integer(u64::MAX)),
        ("low".into(), Value::integer(i64::MIN)),
        ("x".into(), Value::Float(0.5)),
        ("t".into(), Value::Text("é".into())),
        ("b".into(), Value::Bytes(b"\x00\x80"[..].into())),
        ("none".into(), Value::Null),
        ("l".into(), Value::List([Value::Bool(true)].into())),
        ("__proto__".into(), Value::integer(1)),
    ]);
    match caller.call(&ask("f", &fields)) {
        Ok(value) => serde_json::to_string(&value).unwrap(),
        Err(failure) => failure.to_string(),
    }
}

/// What `f(fields, ctx)` says, by its body.
fn body(body: &str) -> String {
    said(&caller(&format!("function f(fields, ctx) {{ {body} }}")))
}

#[test]
fn values_go_in_and_come_out() {
    for (text, expected) in [
        (
            "return fields",
            r#"{"n":7,"big":18446744073709551615,"low":-9223372036854775808,"x":0.5,"t":"é","b":"AIA=","none":null,"l":[true],"__proto__":1}"#,
        ),
        (
            "return [1, 1.5, -0, 2 ** 53 - 1, '', false, null, undefined]",
            r#"[1,1.5,0,9007199254740991,"",false,null,null]"#,
        ),
        ("return {a: undefined, b: {c: []}}", r#"{"b":{"c":[]}}"#),
        ("return [NaN, 1 / 0, 1e300]", "[null,null,1e+300]"),
        ("return new Uint8Array([255])", r#""/w==""#),
        (
            "return [2n ** 63n, -1n, 2n ** 64n - 1n]",
            "[9223372036854775808,-1,18446744073709551615]",
        ),
        (
            "return [ctx.device, ctx.frame[1], ctx.listener, ctx.address]",
            r#"["d-1",255,null,null]"#,
        ),
        (
            "return typeof fields.big + typeof fields.n",
            r#""bigintnumber""#,
        ),
        ("", "null"),
        ("return checksum('crc-16/arc', bytes('123456789'))", "47933"),
        ("return checksum('xor', new Uint8Array([1, 3]))", "2"),
        (
            "return String(checksum('crc-64/xz', bytes('123456789')))",
            r#""11051210869376104954""#,
        ),
        (
            "return [hex(unhex('00 fF')), text(bytes('é')), text(new Uint8Array([255]))]",
            r#"["00ff","é","�"]"#,
        ),
        (
            "return new DataView(fields.b.buffer).getInt16(0, true)",
            "-32768",
        ),
        (
            "return /(\\d+)/.exec('ab12')[1] + new Map([[1, 2]]).get(1) + JSON.stringify([1])",
            r#""122[1]""#,
        ),
    ] {
        assert_eq!(body(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_value_is_refused_with_the_place_where_there_is_one() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("return () => 1", "a function is no value"),
        ("return Symbol()", "a symbol is no value"),
        ("return new Error('x')", "a exception is no value"),
        ("return 2n ** 64n", "a BigInt has more than 64 bits"),
        ("return -(2n ** 63n) - 1n", "a BigInt has more than 64 bits"),
        (
            "const a = {}; a.a = a; return a",
            "the values stand in each other more than 8 deep",
        ),
        (
            "const a = []; a[0] = a; return a",
            "the values stand in each other more than 8 deep",
        ),
        (
            "return new Array(10001)",
            "there are more than 10000 values",
        ),
        (
            "const a = []; a.length = 4294967295; return a",
            "there are more than 10000 values",
        ),
        (
            "const a = 'x'.repeat(1e6); return [a, a]",
            "the values have more than 1048576 bytes",
        ),
        (
            "return new Uint8Array(65537)",
            "more than 65536 bytes in a row",
        ),
        (
            "return {get a() { throw new Error('got') }}",
            "got (line 1, column 55)",
        ),
        (
            "return unhex('0')",
            "unhex: expected pairs of hex digits (line 1, column 33)",
        ),
        (
            "return checksum('crc-16/modbuss', ctx.frame)",
            "crc-16/modbus",
        ),
        ("throw 'a text'", "a text"),
        ("throw {}", "it threw what is no Error"),
        ("throw new Error('x'.repeat(500))", "…"),
        ("return fields.a.b", "(line 1, column"),
        (
            "\n\n  nothing()",
            "nothing is not defined (line 3, column 3)",
        ),
        ("ctx.state = 1", "ctx.state is no object"),
        ("ctx.state = () => 1", "ctx.state is no object"),
        ("ctx.state.me = ctx.state", "circular reference"),
        (
            "ctx.state.a = 'x'.repeat(4096)",
            "ctx.state has 4104 bytes, at most 4096 are kept",
        ),
    ] {
        let found = body(text);
        if !found.contains(expected) || found.chars().count() > 300 {
            wrong.push(format!("{text}: {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_outside_is_there() {
    for name in [
        "Date",
        "eval",
        "Function",
        "Math.random",
        "Promise",
        "Proxy",
        "performance",
        "WeakRef",
        "SharedArrayBuffer",
        "Atomics",
        "setTimeout",
        "console",
        "require",
        "process",
        "std",
        "os",
        "fetch",
        "queueMicrotask",
    ] {
        assert_eq!(
            body(&format!("return typeof {name}")),
            "\"undefined\"",
            "{name}"
        );
    }
    for made in [
        "function () {}",
        "function* () {}",
        "async function () {}",
        "async function* () {}",
    ] {
        let found = body(&format!("return ({made}).constructor('return 1')()"));
        assert!(
            found.contains("not a function")
                || found.contains("undefined")
                || found.contains("null"),
            "{made}: {found}"
        );
    }
    let waits = "a script cannot wait: write it without promises";
    for text in [
        "(async () => { await 1 })()",
        "import('os')",
        "return import('os')",
    ] {
        assert_eq!(body(text), waits, "{text}");
    }
    assert_eq!(body("return (async () => 1)()"), "a promise is no value");
}

/// A function that does something bad if the field `bad` says so.
fn endangered(bad: &str) -> Caller {
    caller(&format!(
        "let calls = 0; function f(fields, ctx) {{ if (fields.bad) {{ {bad} }} return ++calls }}"
    ))
}

#[test]
fn what_a_call_may_take_is_bounded_and_the_next_one_works() {
    let bad = Fields::from_iter([("bad".into(), Value::Bool(true))]);
    let mut wrong = Vec::new();
    let stopped = "stopped after 200000 steps";
    for (text, expected) in [
        ("for (;;);", stopped),
        (
            "for (;;) try { for (;;); } catch {} finally { continue }",
            stopped,
        ),
        (
            "function g() { try { g() } finally { for (;;); } } g()",
            stopped,
        ),
        ("/^(a+)+$/.test('a'.repeat(40) + 'b')", stopped),
        (
            "Array.prototype.indexOf.call({length: 2 ** 53 - 1}, 1)",
            stopped,
        ),
        (
            "new Array(4294967295).join('')",
            "an array of more than 100000 places",
        ),
        (
            "const a = []; a.length = 4294967295; a.includes(1)",
            stopped,
        ),
        (
            "const a = []; a.length = 4294967295; a.reverse()",
            "an array of more than",
        ),
        ("[3, 1, 2].sort(() => { for (;;); })", stopped),
        ("return {toJSON: 1, get a() { for (;;); }}", stopped),
        ("ctx.state = {toJSON() { for (;;); }}", stopped),
        (
            "throw {toString() { for (;;); }}",
            "it threw what is no Error",
        ),
        (
            "const e = new Error(); Object.defineProperty(e, 'message', {get() { for (;;); }}); throw e",
            "",
        ),
        (
            "const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)",
            "out of memory",
        ),
        ("let a = 'xy'; for (;;) a += a", ""),
        ("new Uint8Array(1e9)", ""),
        ("new ArrayBuffer(8, {maxByteLength: 2 ** 40})", ""),
        ("'x'.repeat(2 ** 29)", ""),
        ("'x'.padEnd(2 ** 29)", ""),
        ("(function g() { g() })()", "call stack"),
        ("const g = () => [1].map(g); g()", "call stack"),
        ("JSON.parse('['.repeat(100000))", ""),
        ("new RegExp('('.repeat(100000))", ""),
        (
            "let a = []; for (let i = 0; i < 100000; i++) a = [a]; JSON.stringify(a)",
            "",
        ),
        (
            "let a = []; for (let i = 0; i < 100000; i++) a = [a]; return a",
            "out of memory",
        ),
        (
            "let a = []; for (let i = 0; i < 1000; i++) a = [a]; return a",
            "8 deep",
        ),
        ("Array.from({length: 1e9})", ""),
        ("[...'x'.repeat(1e6)].map(x => [x])", ""),
    ] {
        let caller = endangered(text);
        let failure = caller
            .call(&ask("f", &bad))
            .map_err(|failure| failure.to_string());
        let failure = failure.err().unwrap_or_default();
        if !failure.contains(expected) {
            wrong.push(format!("{text}: {failure}"));
        }
        let next = caller.call(&ask("f", &Fields::new()));
        assert_eq!(next, Ok(Value::integer(1)), "{text}");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn memory_that_a_script_fills_over_many_calls_is_given_back() {
    let caller = caller(
        "const all = []; function f() { all.push('x'.repeat(1e6) + all.length); return all.length }",
    );
    let said: Vec<_> = (0..40)
        .map(|_| caller.call(&ask("f", &Fields::new())))
        .collect();
    assert!(said.iter().any(Result::is_err));
    let most = said.iter().filter_map(|said| match said {
        Ok(Value::Integer(count)) => Some(count.get()),
        _ => None,
    });
    assert!(most.max().unwrap() < 9);
    assert!(said.iter().filter(|said| said.is_ok()).count() > 30);
}

#[test]
fn the_state_is_that_of_one_connection_and_of_calls_that_did_not_fail() {
    let script = script(
        "function f(fields, ctx) {
  ctx.state.count = (ctx.state.count ?? 0) + 1;
  if (fields.fail) throw new Error('no');
  if (fields.much) ctx.state.much = 'x'.repeat(5000);
  if (fields.reset) ctx.state = undefined;
  return ctx.state?.count;
}",
    );
    let (one, two) = (Caller::new(&script), Caller::new(&script));
    let with = |caller: &Caller, name: &str| {
        let fields = Fields::from_iter([(Name::from(name), Value::Bool(true))]);
        caller.call(&ask("f", &fields)).ok()
    };
    let rows = [
        (&one, "", Some(Value::integer(1))),
        (&one, "", Some(Value::integer(2))),
        (&two, "", Some(Value::integer(1))),
        (&one, "fail", None),
        (&one, "much", None),
        (&one, "", Some(Value::integer(3))),
        (&one, "reset", Some(Value::Null)),
        (&one, "", Some(Value::integer(1))),
        (&two, "", Some(Value::integer(2))),
    ];
    for (at, (caller, name, expected)) in rows.into_iter().enumerate() {
        assert_eq!(with(caller, name), expected, "{at}");
    }
}

#[test]
fn a_state_that_must_not_be_kept_is_not() {
    let caller = caller("function f(_, ctx) { return ctx.state.n = (ctx.state.n ?? 0) + 1 }");
    let fields = Fields::new();
    for (keep, expected) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let said = caller.call_and_keep(&ask("f", &fields), |_| keep);
        assert_eq!(said, Ok(Value::integer(expected)));
    }
}

#[test]
fn functions_are_known_however_they_are_declared() {
    let script = script(
        "function a() {} const b = () => 1; let c = 1; var d = function () {}; async function e() {}",
    );
    for (name, known) in [
        ("a", true),
        ("b", true),
        ("c", false),
        ("d", true),
        ("z", false),
        ("", false),
        ("a.b", false),
        ("a;b", false),
        ("1", false),
        ("this", false),
        ("function", false),
        ("a\0", false),
    ] {
        assert_eq!(script.has(name), known, "{name}");
    }
    let caller = Caller::new(&script);
    assert_eq!(
        caller.call(&ask("b", &Fields::new())),
        Ok(Value::integer(1))
    );
    let failure = caller.call(&ask("z", &Fields::new())).unwrap_err();
    assert_eq!(failure.message, "there is no function `z`");
}

#[test]
fn mistakes_of_a_script_have_their_place() {
    for (source, pointer, column, message) in [
        (
            json!("function f( {"),
            "/script",
            Some(14),
            "(line 1, column 14)",
        ),
        (
            json!("let é = 1;\nlet = ;"),
            "/script",
            Some(16),
            "(line 2, column 5)",
        ),
        (
            json!(["let a = 1;", "let b = ;", "let c;"]),
            "/script/1",
            Some(9),
            "unexpected token",
        ),
        (
            json!(["let a = 1;\nlet b;", "let d = ;"]),
            "/script/1",
            Some(9),
            "unexpected token",
        ),
        (json!(["a()"]), "/script/0", Some(1), "a is not defined"),
        (
            json!(["for (;;);"]),
            "/script/0",
            Some(1),
            "stopped after 200000 steps",
        ),
        (
            json!(["let a = 1;", 2]),
            "/script/1",
            None,
            "expected a line of the script, found the number 2",
        ),
        (
            json!(7),
            "/script",
            None,
            "expected a script as a text, a list of lines or {\"file\"",
        ),
        (json!("let a = '\0';"), "/script", None, ""),
    ] {
        let mut problems = Problems::new();
        let section = Section {
            value: &source,
            pointer: "/script".to_owned(),
        };
        assert!(Script::read(&section, &mut problems).is_none(), "{source}");
        let [problem] = problems.as_slice() else {
            panic!("{source}: {problems:?}")
        };
        assert_eq!(
            (problem.pointer.as_str(), problem.column),
            (pointer, column),
            "{source}: {problem}"
        );
        assert!(problem.message.contains(message), "{source}: {problem}");
    }
}

#[test]
fn a_failure_is_told_once() {
    let caller = caller("function f() { throw new Error('no') }");
    assert_eq!(caller.call_or_note(&ask("f", &Fields::new())), None);
    assert_eq!(
        caller.take_failure().as_deref(),
        Some("f: no (line 1, column 26)")
    );
    assert_eq!(caller.take_failure(), None);
}

#[test]
fn threads_take_turns() {
    let script = script(
        "function f(fields) { let n = 0; for (let i = 0; i < 1000; i++) n += fields.n; return n }",
    );
    std::thread::scope(|scope| {
        for n in 0..4 {
            let caller = Caller::new(&script);
            scope.spawn(move || {
                let fields = Fields::from_iter([("n".into(), Value::integer(n))]);
                for _ in 0..50 {
                    assert_eq!(
                        caller.call(&ask("f", &fields)),
                        Ok(Value::integer(n * 1000))
                    );
                }
            });
        }
    });
}
