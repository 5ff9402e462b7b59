//! What a script finds beside the language, and what of the language it does not find.

use std::sync::Mutex;

use rquickjs::{Ctx, Exception, Function, TypedArray};

use super::values::{MOST_BYTES, bytes_of, to_script};
use crate::checksum::Algorithm;

/// Algorithms that are kept ready; there are tables in them.
const MOST_READY: usize = 8;

/// Takes away what would make a result depend on more than the arguments, and what makes code of
/// texts or waits.
const WITHOUT: &str = "
'use strict';
delete Math.random;
for (const name of ['eval', 'Function', 'SharedArrayBuffer', 'Atomics', 'performance', 'queueMicrotask', 'Promise'])
  delete globalThis[name];
for (const made of [function () {}, function* () {}, async() => {}, {async*made() {}}.made])
  delete Object.getPrototypeOf(made).constructor;
delete Object.prototype.__proto__;
";

/// Methods that go through all places of an array in one step, however many there are without a
/// value. The engine cannot be stopped in between, so they get to see the length of a real one.
const WITHIN_BOUNDS: &str = "
'use strict';
{
  const {isArray} = Array, {isView} = ArrayBuffer, {apply} = Reflect, MOST = 100000;
  const within = list => {
    if (!isArray(list) && !isView(list)) throw new TypeError('expected an array');
    if (list.length > MOST) throw new RangeError('an array of more than ' + MOST + ' places');
  };
  for (const name of ['join', 'toString', 'toLocaleString', 'concat', 'slice', 'splice', 'fill', 'copyWithin',
    'reverse', 'shift', 'unshift', 'flat', 'sort', 'toSorted', 'toReversed', 'toSpliced', 'with', 'lastIndexOf']) {
    const method = Array.prototype[name];
    const bounded = {[name](...rest) {
      within(this);
      if (name === 'concat') for (const other of rest) if (isArray(other)) within(other);
      return apply(method, this, rest);
    }};
    Object.defineProperty(Array.prototype, name, {value: bounded[name], writable: true, configurable: true});
  }
}
";

/// Makes the globals as scripts are to find them.
pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.eval::<(), _>(WITHOUT)?;
    ctx.eval::<(), _>(WITHIN_BOUNDS)?;
    let globals = ctx.globals();
    globals.set(
        "checksum",
        Function::new(ctx.clone(), checksum())?.with_name("checksum")?,
    )?;
    globals.set("hex", Function::new(ctx.clone(), hex)?.with_name("hex")?)?;
    globals.set(
        "unhex",
        Function::new(ctx.clone(), unhex)?.with_name("unhex")?,
    )?;
    globals.set("text", Function::new(ctx.clone(), text)?.with_name("text")?)?;
    globals.set(
        "bytes",
        Function::new(ctx.clone(), bytes)?.with_name("bytes")?,
    )
}

/// `checksum(name, bytes)`: the check value by an algorithm that the settings know too.
fn checksum()
-> impl for<'js> Fn(Ctx<'js>, String, TypedArray<'js, u8>) -> rquickjs::Result<rquickjs::Value<'js>>
+ Send {
    let ready: Mutex<Vec<(String, Algorithm)>> = Mutex::new(Vec::new());
    move |ctx, name, array| {
        let bytes = bytes_of(&ctx, &array)?;
        let mut ready = ready
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = ready.iter().find(|(known, _)| *known == name);
        let algorithm = match known {
            Some((_, algorithm)) => algorithm.clone(),
            None => {
                let found = Algorithm::by_name(&name);
                let found = found.map_err(|message| Exception::throw_message(&ctx, &message))?;
                if ready.len() < MOST_READY {
                    ready.push((name, found.clone()));
                }
                found
            }
        };
        match algorithm.compute(&bytes) {
            Some(value) => to_script::integer(&ctx, value.into()),
            None => {
                let name = algorithm.name();
                let message = format!("checksum: these bytes have no {name}");
                Err(Exception::throw_message(&ctx, &message))
            }
        }
    }
}

/// `hex(bytes)`: two lower-case digits for each.
fn hex<'js>(ctx: Ctx<'js>, array: TypedArray<'js, u8>) -> rquickjs::Result<String> {
    let bytes = bytes_of(&ctx, &array)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `unhex(text)`: the bytes of hex digits; spaces are allowed.
fn unhex<'js>(ctx: Ctx<'js>, digits: String) -> rquickjs::Result<TypedArray<'js, u8>> {
    let wrong = || Exception::throw_message(&ctx, "unhex: expected pairs of hex digits");
    let digits: Vec<char> = digits.chars().filter(|c| *c != ' ').collect();
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => {
            let value = high.to_digit(16)?.checked_mul(16)?;
            u8::try_from(value.checked_add(low.to_digit(16)?)?).ok()
        }
        _ => None,
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(wrong)?;
    TypedArray::new_copy(ctx.clone(), bytes)
}

/// `text(bytes)`: UTF-8; what is not valid is replaced.
fn text<'js>(ctx: Ctx<'js>, array: TypedArray<'js, u8>) -> rquickjs::Result<String> {
    let bytes = bytes_of(&ctx, &array)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `bytes(text)`: UTF-8.
fn bytes<'js>(ctx: Ctx<'js>, text: String) -> rquickjs::Result<TypedArray<'js, u8>> {
    if text.len() > MOST_BYTES {
        let message = format!("bytes: more than {MOST_BYTES} bytes in a row");
        return Err(Exception::throw_message(&ctx, &message));
    }
    TypedArray::new_copy(ctx.clone(), text.into_bytes())
}
