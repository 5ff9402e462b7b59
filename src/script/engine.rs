//! The engine of one script: QuickJS with a bound on everything.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rquickjs::context::EvalOptions;
use rquickjs::context::intrinsic::{
    Eval, Json, MapSet, Promise, RegExp, RegExpCompiler, TypedArrays,
};
use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Error, Exception, Function, Object, Runtime,
    TypedArray,
};

use super::values::{Reader, to_script};
use super::{Called, Failure, First, NO_STATE, helpers};
use crate::message::Value;

/// Bytes of all that a script holds.
const MOST_MEMORY: usize = 8 << 20;
/// Bytes of the stack: some hundred calls that stand in each other.
const MOST_STACK: usize = 192 << 10;
/// A call's steps (turns of loops, calls, steps of a pattern) in ticks of the engine, of 10,000 each.
const TICKS: u32 = 20;
/// The ticks of a call that was stopped.
const STOPPED: u32 = u32::MAX;
/// Bytes of a connection's state, as JSON.
const MOST_STATE: usize = 4096;
/// What is said of a script that leaves something to be done later.
const WAITS: &str = "a script cannot wait: write it without promises";
/// The name under which the engine knows the script.
const FILE: &str = "script";

/// What of the language is there. Promises are, though nobody keeps them: without them the engine
/// comes to harm at the word `async`.
type Language = (
    Eval,
    RegExpCompiler,
    RegExp,
    Json,
    MapSet,
    TypedArrays,
    Promise,
);

/// Runs the functions of one script, one call after the other.
pub(super) struct Engine {
    source: String,
    /// None after a call that ran into a bound: what it leaves is thrown away.
    live: Mutex<Option<Live>>,
}

struct Live {
    context: Context,
    ticks: Arc<AtomicU32>,
}

impl Engine {
    /// Reads the script and runs what stands outside of its functions.
    pub fn new(source: &str) -> Result<Self, Failure> {
        let live = Live::new(source)?;
        Ok(Engine {
            source: source.to_owned(),
            live: Mutex::new(Some(live)),
        })
    }

    pub fn has(&self, function: &str) -> bool {
        let known = |live: &Live| live.within(|ctx| Ok(named(ctx, function).is_ok()));
        self.with(known).unwrap_or(false)
    }

    /// The function's value, and the state that it leaves.
    pub fn call(&self, called: &Called<'_>) -> Result<(Value, String), Failure> {
        self.with(|live| live.within(|ctx| call(ctx, called)))
    }

    fn with<T>(&self, run: impl FnOnce(&Live) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut kept = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = match kept.take() {
            Some(live) => live,
            None => Live::new(&self.source)?,
        };
        let result = run(&live);
        if !live.is_worn(&result) {
            *kept = Some(live);
        }
        result
    }
}

impl Live {
    fn new(source: &str) -> Result<Self, Failure> {
        let failed = |error: Error| Failure::new(format!("no engine: {error}"));
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_memory_limit(MOST_MEMORY);
        runtime.set_max_stack_size(MOST_STACK);
        let ticks = Arc::new(AtomicU32::new(TICKS));
        let left = Arc::clone(&ticks);
        runtime.set_interrupt_handler(Some(Box::new(move || is_over(&left))));
        let context = Context::builder()
            .with::<Language>()
            .build(&runtime)
            .map_err(failed)?;
        let live = Live { context, ticks };
        live.within(helpers::install)?;
        live.within(|ctx| {
            let mut options = EvalOptions::default();
            options.filename = Some(FILE.to_owned());
            ctx.eval_with_options::<(), _>(source, options)
        })?;
        Ok(live)
    }

    /// Runs something within the bounds of one call.
    fn within<T>(&self, run: impl FnOnce(&Ctx<'_>) -> rquickjs::Result<T>) -> Result<T, Failure> {
        self.ticks.store(TICKS, Ordering::Relaxed);
        let result = self.context.with(|ctx| {
            let result = run(&ctx);
            let stopped = self.ticks.load(Ordering::Relaxed) == STOPPED;
            // What is said of a failure may run code of the script once more.
            self.ticks.store(1, Ordering::Relaxed);
            let result = result.catch(&ctx).map_err(failure);
            match result {
                Err(failure) if stopped => Err(Failure {
                    message: format!("stopped after {} steps", TICKS.saturating_mul(10_000)),
                    ..failure
                }),
                result => result,
            }
        });
        if self.context.runtime().is_job_pending() {
            return Err(Failure::new(WAITS));
        }
        result
    }

    /// Whether a call has hit a bound, so that what it leaves may be half done or fill the memory.
    fn is_worn<T>(&self, result: &Result<T, Failure>) -> bool {
        result.as_ref().is_err_and(|failure| {
            failure.message.starts_with("stopped after")
                || failure.message == WAITS
                || failure.message.contains("out of memory")
        })
    }
}

/// Counts one tick; whether there are none left.
fn is_over(ticks: &AtomicU32) -> bool {
    let left = ticks.load(Ordering::Relaxed);
    let next = match left {
        STOPPED => STOPPED,
        _ => left.checked_sub(1).unwrap_or(STOPPED),
    };
    ticks.store(next, Ordering::Relaxed);
    next == STOPPED
}

fn call(ctx: &Ctx<'_>, called: &Called<'_>) -> rquickjs::Result<(Value, String)> {
    let call = called.call;
    let function = named(ctx, call.function)?;
    let context = Object::new(ctx.clone())?;
    let state: rquickjs::Value<'_> = match called.state {
        NO_STATE => Object::new(ctx.clone())?.into_value(),
        state => ctx.json_parse(state)?,
    };
    context.set("state", state)?;
    context.set("listener", called.listener)?;
    context.set("address", called.address)?;
    context.set("device", call.device)?;
    if let Some(frame) = call.frame {
        context.set("frame", TypedArray::<u8>::new_copy(ctx.clone(), frame)?)?;
    }
    let first = match call.first {
        First::Bytes(bytes, fields) => {
            if let Some(fields) = fields {
                context.set("fields", to_script::fields(ctx, fields)?)?;
            }
            TypedArray::<u8>::new_copy(ctx.clone(), bytes)?.into_value()
        }
        First::Fields(fields) => to_script::fields(ctx, fields)?.into_value(),
    };
    let value: rquickjs::Value<'_> = function.call((first, context.clone()))?;
    let value = Reader::new().read(ctx, &value)?;
    Ok((value, state_of(ctx, &context)?))
}

/// The function of that name, however the script has declared it.
fn named<'js>(ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Function<'js>> {
    if let Ok(function) = ctx.globals().get::<_, Function<'js>>(name) {
        return Ok(function);
    }
    let is_name = |text: &str| {
        !text.starts_with(|first: char| first.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
    };
    let declared = is_name(name).then(|| ctx.eval::<Function<'js>, _>(name));
    match declared {
        Some(Ok(function)) => Ok(function),
        Some(Err(_)) | None => {
            // The failure to find it is ours to tell.
            drop(ctx.catch());
            Err(Exception::throw_message(
                ctx,
                &format!("there is no function `{name}`"),
            ))
        }
    }
}

fn state_of<'js>(ctx: &Ctx<'js>, context: &Object<'js>) -> rquickjs::Result<String> {
    let state: rquickjs::Value<'js> = context.get("state")?;
    if state.is_undefined() {
        return Ok(NO_STATE.to_owned());
    }
    if !state.is_object() || state.is_function() {
        return Err(Exception::throw_message(ctx, "ctx.state is no object"));
    }
    let text = ctx.json_stringify(state)?;
    let text = text.map_or(Ok(NO_STATE.to_owned()), |text| text.to_string())?;
    if text.len() > MOST_STATE {
        let message = format!(
            "ctx.state has {} bytes, at most {MOST_STATE} are kept",
            text.len()
        );
        return Err(Exception::throw_message(ctx, &message));
    }
    Ok(text)
}

fn failure(caught: CaughtError<'_>) -> Failure {
    match caught {
        CaughtError::Error(error) => Failure::new(error.to_string()),
        // Where there is no memory for an Error the engine throws this.
        CaughtError::Value(value) if value.is_null() => Failure::new("out of memory"),
        CaughtError::Value(value) => {
            Failure::new(match value.as_string().map(|text| text.to_string()) {
                Some(Ok(text)) => shortened(text),
                _ => "it threw what is no Error".to_owned(),
            })
        }
        CaughtError::Exception(exception) => Failure {
            message: exception
                .message()
                .map_or_else(|| "failed".to_owned(), shortened),
            place: exception.stack().and_then(|stack| place(&stack)),
        },
    }
}

/// What a script says of itself is as long as it likes.
fn shortened(text: String) -> String {
    const MOST: usize = 200;
    if text.chars().nth(MOST).is_none() {
        return text;
    }
    text.chars().take(MOST).chain(['…']).collect()
}

/// The first place of a stack that lies in the script: `… script:LINE:COLUMN …`.
fn place(stack: &str) -> Option<(usize, usize)> {
    let places = stack.split("script:").skip(1);
    let mut read = places.filter_map(|place| {
        let mut numbers = place.split(|c: char| !c.is_ascii_digit());
        let line = numbers.next()?.parse().ok()?;
        Some((line, numbers.next()?.parse().ok()?))
    });
    read.next()
}
