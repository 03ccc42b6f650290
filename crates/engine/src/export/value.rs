//! The values that a row can hold, owned and borrowed.
//!
//! Invariant: what goes into the document comes back as the same variant with the same bits, with one exception: an
//! [`Unsigned`](Value::Unsigned) that fits into an `i64` comes back as [`Integer`](Value::Integer).

/// A value, owned.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer; only above `i64::MAX` is it told from [`Value::Integer`].
    Unsigned(u64),
    /// A floating-point number, with its sign of zero; NaN comes back as one quiet NaN.
    Real(f64),
    /// An exact decimal in the server's own digits, trailing zeros included.
    Decimal(String),
    /// Text, and whatever an engine shows as text: dates, arrays, enums, JSON.
    Text(String),
    /// Text whose bytes are not valid in the document's encoding, as they are.
    RawText(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
    /// A truth value, for engines that have them.
    Bool(bool),
}

/// A value, borrowed from the database's own buffers.
///
/// No variant holds less than a word: a byte beside the tag makes the compiler copy the tag's word in two overlapping pieces,
/// which wait for each other, a tenth of all the time that a database of many short values takes to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// See [`Value::Null`].
    Null,
    /// See [`Value::Integer`].
    Integer(i64),
    /// See [`Value::Unsigned`].
    Unsigned(u64),
    /// See [`Value::Real`].
    Real(f64),
    /// See [`Value::Decimal`].
    Decimal(&'a str),
    /// See [`Value::Text`].
    Text(&'a str),
    /// See [`Value::RawText`].
    RawText(&'a [u8]),
    /// See [`Value::Blob`].
    Blob(&'a [u8]),
    /// See [`Value::Bool`].
    True,
    /// See [`Value::Bool`].
    False,
}

impl<'a> ValueRef<'a> {
    /// Text of unknown validity: [`Text`](Self::Text) when it is UTF-8, else [`RawText`](Self::RawText).
    pub fn text(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Self::RawText(bytes), Self::Text)
    }
}

impl Value {
    /// Borrows it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Unsigned(n) => ValueRef::Unsigned(*n),
            Self::Real(x) => ValueRef::Real(*x),
            Self::Decimal(digits) => ValueRef::Decimal(digits),
            Self::Text(text) => ValueRef::Text(text),
            Self::RawText(bytes) => ValueRef::RawText(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Bool(true) => ValueRef::True,
            Self::Bool(false) => ValueRef::False,
        }
    }
}
