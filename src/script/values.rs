//! Values into the script and out of it. What comes out is foreign: its depth, number and bytes are
//! bounded, whatever it says of itself.

use rquickjs::{Array, BigInt, Ctx, Exception, Function, Object, Type, TypedArray};

use crate::message::{Fields, Name, Value};

/// Values that one result may have.
const MOST_VALUES: usize = 10_000;
/// How deep they may stand in each other.
const MOST_DEEP: usize = 8;
/// Bytes of its texts, names and bytes together.
const MOST_TEXT: usize = 1 << 20;
/// Bytes that are read one by one.
pub(super) const MOST_BYTES: usize = 1 << 16;
/// Whole numbers up to here are exact in JavaScript.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Reads one result.
#[derive(Debug)]
pub(super) struct Reader {
    values: usize,
    text: usize,
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            values: MOST_VALUES,
            text: MOST_TEXT,
        }
    }

    pub fn read<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        value: &rquickjs::Value<'js>,
    ) -> rquickjs::Result<Value> {
        self.value(ctx, value, 0)
    }

    fn value<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        value: &rquickjs::Value<'js>,
        depth: usize,
    ) -> rquickjs::Result<Value> {
        self.count(ctx, 0)?;
        if depth > MOST_DEEP {
            let message = format!("the values stand in each other more than {MOST_DEEP} deep");
            return Err(Exception::throw_message(ctx, &message));
        }
        let depth = depth.saturating_add(1);
        if let Some(flag) = value.as_bool() {
            return Ok(Value::Bool(flag));
        }
        if let Some(number) = value.as_number() {
            return Ok(number_of(number));
        }
        if let Some(text) = value.as_string() {
            let text = text.to_string()?;
            self.count(ctx, text.len())?;
            return Ok(Value::text(text));
        }
        if let Some(array) = value.as_array() {
            return self.list(ctx, array, depth);
        }
        match value.type_of() {
            Type::Undefined | Type::Null | Type::Uninitialized => Ok(Value::Null),
            Type::BigInt => whole(ctx, value).map(Value::integer),
            Type::Object => {
                let object = value.as_object();
                let bytes = object.and_then(|object| object.as_typed_array::<u8>());
                match (bytes, object) {
                    (Some(bytes), _) => {
                        let bytes = bytes_of(ctx, bytes)?;
                        self.count(ctx, bytes.len())?;
                        Ok(Value::Bytes(bytes.into()))
                    }
                    (None, Some(object)) => self.object(ctx, object, depth),
                    (None, None) => Ok(Value::Null),
                }
            }
            other => {
                let message = format!("a {} is no value", other.as_str().to_lowercase());
                Err(Exception::throw_message(ctx, &message))
            }
        }
    }

    fn list<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        array: &Array<'js>,
        depth: usize,
    ) -> rquickjs::Result<Value> {
        // The array's own `len` does not take what is longer than an `i32` can say.
        let len: f64 = array.as_object().get("length")?;
        let len = match number_of(len) {
            Value::Integer(len) => usize::try_from(len.get()).ok(),
            _ => None,
        };
        let len = len.filter(|len| *len <= self.values);
        let len = len.ok_or_else(|| too_many(ctx))?;
        let mut values = Vec::with_capacity(len);
        for index in 0..len {
            values.push(self.value(ctx, &array.get(index)?, depth)?);
        }
        Ok(Value::List(values.into()))
    }

    fn object<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        object: &Object<'js>,
        depth: usize,
    ) -> rquickjs::Result<Value> {
        let mut values = Vec::new();
        for name in object.keys::<String>() {
            let name = name?;
            self.count(ctx, name.len())?;
            let value: rquickjs::Value<'js> = object.get(name.as_str())?;
            if !value.is_undefined() {
                values.push((Name::from(name), self.value(ctx, &value, depth)?));
            }
        }
        Ok(Value::Object(Box::new(Fields::from(values))))
    }

    fn count(&mut self, ctx: &Ctx<'_>, bytes: usize) -> rquickjs::Result<()> {
        self.values = self.values.checked_sub(1).ok_or_else(|| too_many(ctx))?;
        let left = self.text.checked_sub(bytes);
        self.text = left.ok_or_else(|| {
            let message = format!("the values have more than {MOST_TEXT} bytes");
            Exception::throw_message(ctx, &message)
        })?;
        Ok(())
    }
}

fn too_many(ctx: &Ctx<'_>) -> rquickjs::Error {
    let message = format!("there are more than {MOST_VALUES} values");
    Exception::throw_message(ctx, &message)
}

fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number below 2^53 is exact"
        )]
        return Value::integer(number as i64);
    }
    Value::Float(number)
}

/// The bytes of a `Uint8Array`; one by one, because no slice of the engine's memory is safe.
pub(super) fn bytes_of<'js>(
    ctx: &Ctx<'js>,
    array: &TypedArray<'js, u8>,
) -> rquickjs::Result<Vec<u8>> {
    let len = array.len();
    if len > MOST_BYTES {
        let message = format!("more than {MOST_BYTES} bytes in a row");
        return Err(Exception::throw_message(ctx, &message));
    }
    let object = array.as_object();
    let indices = 0..u32::try_from(len).unwrap_or_default();
    indices.map(|index| object.get::<u32, u8>(index)).collect()
}

/// A BigInt that JSON readers can take.
fn whole<'js>(ctx: &Ctx<'js>, value: &rquickjs::Value<'js>) -> rquickjs::Result<i128> {
    let wrapped = BigInt::from_value(value.clone())?.to_i64()?;
    let same: Function<'js> = ctx.eval("(one, two) => one === two")?;
    let signed = BigInt::from_i64(ctx.clone(), wrapped)?;
    if same.call((value.clone(), signed))? {
        return Ok(i128::from(wrapped));
    }
    let unsigned = u64::from_ne_bytes(wrapped.to_ne_bytes());
    if same.call((value.clone(), BigInt::from_u64(ctx.clone(), unsigned)?))? {
        return Ok(i128::from(unsigned));
    }
    Err(Exception::throw_message(
        ctx,
        "a BigInt has more than 64 bits",
    ))
}

/// Values as the script sees them.
pub(super) mod to_script {
    use rquickjs::{Array, BigInt, Ctx, IntoJs as _, Object, TypedArray};

    use crate::message::{Fields, Value};

    /// An object of them.
    pub fn fields<'js>(ctx: &Ctx<'js>, fields: &Fields) -> rquickjs::Result<Object<'js>> {
        let object = Object::new(ctx.clone())?;
        for (name, value) in fields.iter() {
            object.set(&**name, one(ctx, value)?)?;
        }
        Ok(object)
    }

    fn one<'js>(ctx: &Ctx<'js>, value: &Value) -> rquickjs::Result<rquickjs::Value<'js>> {
        match value {
            Value::Null => Ok(rquickjs::Value::new_null(ctx.clone())),
            Value::Bool(flag) => flag.into_js(ctx),
            Value::Integer(number) => integer(ctx, number.get()),
            Value::Float(number) => number.into_js(ctx),
            Value::Text(text) => text.as_str().into_js(ctx),
            Value::Bytes(bytes) => {
                TypedArray::<u8>::new_copy(ctx.clone(), bytes).map(TypedArray::into_value)
            }
            Value::List(values) => {
                let array = Array::new(ctx.clone())?;
                for (index, value) in values.iter().enumerate() {
                    array.set(index, one(ctx, value)?)?;
                }
                Ok(array.into_value())
            }
            Value::Object(values) => fields(ctx, values).map(Object::into_value),
        }
    }

    /// A number where that is exact, else a BigInt.
    pub fn integer<'js>(ctx: &Ctx<'js>, number: i128) -> rquickjs::Result<rquickjs::Value<'js>> {
        const EXACT: i128 = 9_007_199_254_740_991;
        if (-EXACT..=EXACT).contains(&number) {
            return i64::try_from(number).unwrap_or_default().into_js(ctx);
        }
        match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => BigInt::from_i64(ctx.clone(), number).map(BigInt::into_value),
            (Err(_), Ok(number)) => BigInt::from_u64(ctx.clone(), number).map(BigInt::into_value),
            // Decoders keep integers within these.
            (Err(_), Err(_)) => Ok(rquickjs::Value::new_null(ctx.clone())),
        }
    }
}
