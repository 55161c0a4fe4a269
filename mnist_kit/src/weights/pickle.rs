//! Reader of PyTorch's `.pth` files: zip archives with a pickled state dict and the tensors' bytes.
//!
//! A pickle is a program, and Python's reader runs it. This one knows only what a state dict needs:
//! dictionaries, tuples, numbers, text, and three names that stand for tensors. It refuses anything
//! else, so nothing in a file is ever executed.
//!
//! Memory stays within the file's size and a fixed amount. Each storage is read once, tensors are
//! views of it, and recalled values are shared, so a small file cannot name large tensors often.

use crate::Result;
use anyhow::{Context, bail, ensure};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use tch::{Kind, Tensor};
use zip::ZipArchive;

/// The first bytes of every zip archive.
pub(super) const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Bytes of a pickle: a tensor's description takes about 120, and ResNet-152 has 932 tensors.
pub(super) const MAX_PROGRAM: u64 = 1 << 20;

/// Bytes of a text: names of parameters have a few dozen.
const MAX_TEXT: usize = 4096;

/// Values on the stack: PyTorch adds at most 1,000 entries at once to a dictionary.
const MAX_STACK: usize = 10_000;

/// Tuples in tuples: a tensor's description needs two.
const MAX_DEPTH: usize = 8;

/// Values in a tuple, nested tuples included: a tensor's description needs about twenty.
const MAX_SIZE: usize = 256;

type Archive = ZipArchive<BufReader<File>>;

/// Reads the tensors of a state dict written by `torch.save`, by name.
///
/// The tensors are views: those of one storage share its memory.
pub(super) fn read_state_dict(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    ensure!(
        !archive.has_overlapping_entries()?,
        "entries of the archive overlap, which torch.save never writes"
    );
    let names: Vec<String> =
        archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<_>>()?;
    let program = names
        .iter()
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .context("the archive has no data.pkl, so torch.save did not write it")?;
    let folder = program.trim_end_matches("data.pkl");
    // PyTorch writes the byte order since version 2.1; older files come from machines like this one.
    if let Some(order) = read_entry(&mut archive, &format!("{folder}byteorder"), 16)? {
        ensure!(order == b"little", "its numbers are not in little-endian order");
    }
    let program = read_entry(&mut archive, program, MAX_PROGRAM)?.context("data.pkl is gone")?;
    let (Value::Dict(entries), _) = Machine::run(&program)? else {
        bail!("it holds something else than a state dict; save model.state_dict()");
    };
    tensors(&entries, |key| {
        let bytes = read_entry(&mut archive, &format!("{folder}data/{key}"), u64::MAX)?;
        bytes.map(|bytes| Ok(Tensor::f_from_slice(&bytes)?)).transpose()
    })
}

/// Makes the tensors of a state dict. `read` is asked once for each storage, and returns its bytes as
/// a Uint8 tensor, or `None` if there is no such storage.
pub(super) fn tensors(
    entries: &Entries,
    mut read: impl FnMut(&str) -> Result<Option<Tensor>>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut storages: HashMap<Rc<str>, Tensor> = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (name, view) in entries.borrow().iter() {
        let view = view.as_ref().with_context(|| {
            format!("{name} is not a tensor; save model.state_dict() and nothing else")
        })?;
        let key = &view.storage.key;
        if !storages.contains_key(key) {
            let bytes =
                read(key)?.with_context(|| format!("{name}: its data ({key}) is missing"))?;
            storages.insert(key.clone(), bytes);
        }
        let tensor = view.tensor(&storages[key]).with_context(|| name.to_string())?;
        ensure!(tensors.insert(name.to_string(), tensor).is_none(), "{name} occurs twice");
    }
    Ok(tensors)
}

/// Reads an entry of at most `limit` bytes; `None` if there is none of that name.
fn read_entry(archive: &mut Archive, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    if archive.index_for_name(name).is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    archive.by_name(name)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= limit, "{name} has more than {limit} bytes, refused");
    Ok(Some(bytes))
}

/// Numbers of one kind, stored as an entry of the archive.
#[derive(Clone)]
pub(super) struct Storage {
    pub kind: Kind,
    pub key: Rc<str>,
}

/// A tensor as a view of a storage.
pub(super) struct View {
    pub storage: Storage,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
}

impl View {
    /// The view of `bytes`, the storage's content as a Uint8 tensor, without a copy.
    fn tensor(&self, bytes: &Tensor) -> Result<Tensor> {
        let View { storage, offset, size, stride } = self;
        let (length, width) = (bytes.numel(), storage.kind.elt_size_in_bytes());
        ensure!(
            length.is_multiple_of(width),
            "{length} bytes are no multiple of the {width} bytes of a {:?}",
            storage.kind
        );
        let count = (length / width) as i64;
        let elements = size.iter().try_fold(1i64, |product, &size| product.checked_mul(size));
        // The position of the last number; None on overflow.
        let last = size.iter().zip(stride).try_fold(*offset, |last, (&size, &stride)| {
            (size >= 0 && stride >= 0)
                .then(|| last.checked_add((size - 1).max(0).checked_mul(stride)?))?
        });
        ensure!(
            size.len() == stride.len()
                && *offset >= 0
                && elements.is_some()
                && last.is_some_and(|last| size.contains(&0) || last < count),
            "shape {size:?}, stride {stride:?} and offset {offset} reach beyond its {count} numbers"
        );
        let numbers = bytes.f_view_dtype(storage.kind)?;
        Ok(numbers.f_as_strided(&size[..], &stride[..], *offset)?)
    }
}

/// A dictionary's tensors by name; `None` stands for a value of any other kind.
pub(super) type Entries = Rc<RefCell<Vec<(Rc<str>, Option<Rc<View>>)>>>;

/// A value that a state dict's pickle builds. Cloning one shares its content.
#[derive(Clone)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    Dict(Entries),
    Dtype(Kind),
    Storage(Storage),
    Tensor(Rc<View>),
    MakeDict,
    MakeTensor,
    MakeParameter,
    Mark,
}

impl Value {
    /// The kind of value, for error messages. The value itself may be long.
    fn describe(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool => "a bool",
            Value::Int(_) => "a number",
            Value::Text(_) => "a text",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dictionary",
            Value::Dtype(_) => "a dtype",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
            Value::MakeDict => "OrderedDict",
            Value::MakeTensor => "_rebuild_tensor_v2",
            Value::MakeParameter => "_rebuild_parameter",
            Value::Mark => "a mark",
        }
    }

    fn depth(&self) -> usize {
        match self {
            Value::Tuple(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn size(&self) -> usize {
        match self {
            Value::Tuple(items) => 1 + items.iter().map(Value::size).sum::<usize>(),
            _ => 1,
        }
    }
}

/// The stack machine that runs a pickle.
pub(super) struct Machine<'a> {
    program: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    /// Runs the pickle that `program` begins with; returns its value, and what follows it.
    pub fn run(program: &'a [u8]) -> Result<(Value, &'a [u8])> {
        let mut machine = Machine::new(program);
        loop {
            let at = program.len() - machine.program.len();
            let done = machine.step().with_context(|| format!("at byte {at} of its pickle"))?;
            ensure!(
                machine.stack.len() <= MAX_STACK,
                "at byte {at} of its pickle: more than {MAX_STACK} values on the stack, refused"
            );
            if let Some(value) = done {
                return Ok((value, machine.program));
            }
        }
    }

    /// Runs a pickle of a list of texts, which is all that a list is needed for.
    pub fn run_list_of_texts(program: &'a [u8]) -> Result<(Vec<Rc<str>>, &'a [u8])> {
        let mut machine = Machine::new(program);
        let mut texts = Vec::new();
        loop {
            match machine.byte()? {
                // PROTO; BINPUT and LONG_BINPUT store values that are never recalled.
                0x80 | b'q' => drop(machine.take(1)?),
                b'r' => drop(machine.take(4)?),
                // EMPTY_LIST, MARK, APPEND and APPENDS.
                b']' | b'(' | b'a' | b'e' => {}
                b'X' => {
                    let length = u32::from_le_bytes(machine.array()?);
                    machine.text(length as usize)?;
                    if let Value::Text(text) = machine.pop()? {
                        texts.push(text);
                    }
                }
                b'.' => return Ok((texts, machine.program)),
                other => bail!("instruction {other:#04x} in a list of texts; refused"),
            }
        }
    }

    fn new(program: &'a [u8]) -> Machine<'a> {
        Machine { program, stack: Vec::new(), memo: HashMap::new() }
    }

    /// Runs one instruction; returns the result of the program after the last one.
    fn step(&mut self) -> Result<Option<Value>> {
        match self.byte()? {
            // PROTO and FRAME tell how the program is written down.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool),
            b'K' => {
                let value = self.byte()?;
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            // LONG1: a number of any length.
            0x8a => {
                let length = self.byte()?.into();
                ensure!(length <= 8, "a number of {length} bytes");
                let bytes = self.take(length)?;
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut value = [if negative { 0xff } else { 0 }; 8];
                value[..length].copy_from_slice(bytes);
                self.stack.push(Value::Int(i64::from_le_bytes(value)));
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let length = self.byte()?;
                self.text(length.into())?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(global(&module, &name)?);
            }
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b')' => self.stack.push(Value::Tuple(Rc::default())),
            count @ 0x85..=0x87 => {
                let items = self.pop_many(usize::from(count - 0x84))?;
                self.push_tuple(items)?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items)?;
            }
            b'q' => {
                let place = self.byte()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.remember(place)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let place = self.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.insert(pair)?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                self.insert(pairs)?;
            }
            b'Q' => {
                let value = storage(self.pop()?)?;
                self.stack.push(value);
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.stack.push(call(function, arguments)?);
            }
            // BUILD sets attributes: a state dict carries its modules' versions, which are left out.
            b'b' => drop(self.pop()?),
            other => bail!("instruction {other:#04x}, which no state dict needs; refused"),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        ensure!(count <= self.program.len(), "the program ends too early");
        let (taken, rest) = self.program.split_at(count);
        self.program = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn line(&mut self) -> Result<String> {
        let end =
            self.program.iter().position(|&byte| byte == b'\n').context("a line without end")?;
        let line = std::str::from_utf8(self.take(end)?)?.to_string();
        self.byte()?;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<()> {
        ensure!(length <= MAX_TEXT, "a text of {length} bytes, refused");
        let text = std::str::from_utf8(self.take(length)?)?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().context("nothing left on the stack")
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>> {
        ensure!(count <= self.stack.len(), "nothing left on the stack");
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let mark = mark.context("no mark on the stack")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<()> {
        let tuple = Value::Tuple(items.into());
        // Values are dropped by recursion, so their depth must be limited. Shared tuples in tuples
        // would grow exponentially for whoever walks through them, so their size is, too.
        ensure!(tuple.depth() <= MAX_DEPTH, "tuples in tuples, {MAX_DEPTH} deep");
        ensure!(tuple.size() <= MAX_SIZE, "a tuple of more than {MAX_SIZE} values");
        self.stack.push(tuple);
        Ok(())
    }

    fn insert(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(Value::Dict(entries)) = self.stack.last() else {
            bail!("entries for something other than a dictionary");
        };
        ensure!(items.len().is_multiple_of(2), "a name without a value");
        let mut items = items.into_iter();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            let Value::Text(name) = name else { bail!("an entry whose name is not a text") };
            let view = if let Value::Tensor(view) = value { Some(view) } else { None };
            entries.borrow_mut().push((name, view));
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        let value = self.stack.last().context("nothing left on the stack")?;
        self.memo.insert(place, value.clone());
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let value =
            self.memo.get(&place).with_context(|| format!("nothing was stored as {place}"))?;
        self.stack.push(value.clone());
        Ok(())
    }
}

/// Returns what a name stands for; a state dict uses these few.
fn global(module: &str, name: &str) -> Result<Value> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Value::MakeDict,
        ("torch._utils", "_rebuild_tensor_v2") => Value::MakeTensor,
        ("torch._utils", "_rebuild_parameter") => Value::MakeParameter,
        ("torch", storage) => Value::Dtype(match storage {
            "FloatStorage" => Kind::Float,
            "DoubleStorage" => Kind::Double,
            "HalfStorage" => Kind::Half,
            "BFloat16Storage" => Kind::BFloat16,
            "LongStorage" => Kind::Int64,
            "IntStorage" => Kind::Int,
            "ShortStorage" => Kind::Int16,
            "CharStorage" => Kind::Int8,
            "ByteStorage" => Kind::Uint8,
            "BoolStorage" => Kind::Bool,
            _ => bail!("it asks for torch.{storage}, which no state dict needs; refused"),
        }),
        _ => bail!("it asks for {module}.{name}, which no state dict needs; refused"),
    })
}

/// Reads a storage from `("storage", kind, key, device, count)`.
fn storage(id: Value) -> Result<Value> {
    if let Value::Tuple(items) = &id
        && let [Value::Text(tag), Value::Dtype(kind), Value::Text(key), ..] = &items[..]
        && **tag == *"storage"
    {
        return Ok(Value::Storage(Storage { kind: *kind, key: key.clone() }));
    }
    bail!("{} that describes no storage", id.describe())
}

fn call(function: Value, arguments: Value) -> Result<Value> {
    let Value::Tuple(arguments) = arguments else { bail!("a call without a tuple of arguments") };
    match (function, &arguments[..]) {
        (Value::MakeDict, []) => Ok(Value::Dict(Rc::default())),
        (
            Value::MakeTensor,
            [
                Value::Storage(storage),
                Value::Int(offset),
                Value::Tuple(size),
                Value::Tuple(stride),
                ..,
            ],
        ) => Ok(Value::Tensor(Rc::new(View {
            storage: storage.clone(),
            offset: *offset,
            size: integers(size)?,
            stride: integers(stride)?,
        }))),
        (Value::MakeParameter, [Value::Tensor(view), ..]) => Ok(Value::Tensor(view.clone())),
        (function, arguments) => {
            let arguments: Vec<&str> = arguments.iter().map(Value::describe).take(8).collect();
            bail!("{} called with ({})", function.describe(), arguments.join(", "))
        }
    }
}

fn integers(values: &[Value]) -> Result<Vec<i64>> {
    let integer = |value: &Value| match value {
        Value::Int(value) => Ok(*value),
        other => bail!("{} where a number belongs", other.describe()),
    };
    values.iter().map(integer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(program: &[u8]) -> String {
        format!("{:#}", Machine::run(program).err().expect("refused"))
    }

    #[test]
    fn a_program_that_calls_anything_else_is_refused() {
        // The pickle of an object whose `__reduce__` returns `(os.system, ("true",))`.
        let message =
            refused(b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.");
        assert!(message.contains("asks for posix.system, which no state dict needs"), "{message}");
        assert!(refused(b"\x80\x02ctorch\nload\n.").contains("torch.load"));
        assert!(refused(b"\x80\x02]q\x00.").contains("instruction 0x5d"));
        let nested = [&b")"[..], &[0x85; 100_000], b"."].concat();
        assert!(refused(&nested).contains("tuples in tuples"));
        // Seven tuples, each of a hundred copies of the one before.
        let mut bomb = b")q\x00".to_vec();
        for level in 0..7u8 {
            bomb.push(b'(');
            bomb.extend([b'h', level].repeat(100));
            bomb.extend([b't', b'q', level + 1]);
        }
        assert!(refused(&bomb).contains("a tuple of more than 256 values"));
        assert!(refused(&[b")".repeat(20_000), b".".to_vec()].concat()).contains("on the stack"));
    }

    #[test]
    fn a_view_stays_inside_its_storage() {
        let storage = Storage { kind: Kind::Float, key: "0".into() };
        let bytes = Tensor::from_slice(&[0u8; 24]);
        let view = |offset, size: &[i64], stride: &[i64]| {
            let (size, stride) = (size.to_vec(), stride.to_vec());
            View { storage: storage.clone(), offset, size, stride }.tensor(&bytes)
        };
        assert_eq!(view(0, &[2, 3], &[3, 1]).unwrap().size(), [2, 3]);
        assert_eq!(view(0, &[3, 2], &[1, 3]).unwrap().size(), [3, 2]);
        assert_eq!(view(0, &[0, 9], &[9, 1]).unwrap().size(), [0, 9]);
        assert_eq!(view(0, &[1 << 32], &[0]).unwrap().size(), [1 << 32]);
        for (offset, size, stride) in [
            (1, &[2, 3][..], &[3, 1][..]),
            (0, &[7], &[1]),
            (-1, &[1], &[1]),
            (0, &[-1], &[1]),
            (0, &[2], &[-1]),
            (0, &[2, 2], &[1]),
            (0, &[i64::MAX, i64::MAX], &[i64::MAX, 2]),
            (0, &[i64::MAX, i64::MAX], &[0, 0]),
        ] {
            let message = view(offset, size, stride).unwrap_err().to_string();
            assert!(message.contains("reach beyond its 6 numbers"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_program_makes_it_panic(program in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Machine::run(&program);
        }
    }
}
