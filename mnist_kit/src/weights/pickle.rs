//! PyTorch's `.pth` files: a zip archive with a pickled state dict and the bytes of its tensors.
//!
//! A pickle is a program, and Python's own reader runs it. This one knows only what a state dict is made
//! of: dictionaries, tuples, numbers, text, and three names that stand for tensors. Anything else is
//! refused, so nothing that a file contains is ever executed.

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

/// How every zip archive begins.
pub(super) const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

type Archive = ZipArchive<BufReader<File>>;

/// The tensors of a state dict that `torch.save` has written, by name.
///
/// # Errors
/// When the file is no such archive, holds anything else than tensors by name, or is damaged.
pub(super) fn read_state_dict(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let program = archive
        .file_names()
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .context("the archive holds no data.pkl, so torch.save has not written it")?
        .to_string();
    let folder = program.trim_end_matches("data.pkl").to_string();
    // Files from before PyTorch 2.1 do not say; they come from machines like this one.
    if let Some(order) = read_entry(&mut archive, &format!("{folder}byteorder"))? {
        ensure!(order == b"little", "its numbers are not in little-endian order");
    }
    let program = read_entry(&mut archive, &program)?.context("data.pkl is gone")?;
    let Value::Dict(entries) = Machine::run(&program)? else {
        bail!("it holds something else than a state dict; save model.state_dict()");
    };
    let mut storages = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (name, view) in entries.borrow().iter() {
        let view = view.as_ref().with_context(|| {
            format!("{name} is no tensor; save model.state_dict() and nothing else")
        })?;
        let key = &view.storage.key;
        if !storages.contains_key(key) {
            let bytes = read_entry(&mut archive, &format!("{folder}data/{key}"))?
                .with_context(|| format!("{name}: its data ({key}) is missing"))?;
            storages.insert(key.clone(), bytes);
        }
        let tensor = view.tensor(&storages[key]).with_context(|| name.clone())?;
        tensors.insert(name.clone(), tensor);
    }
    Ok(tensors)
}

/// The bytes of an entry, or `None` where there is none of that name.
fn read_entry(archive: &mut Archive, name: &str) -> Result<Option<Vec<u8>>> {
    if archive.index_for_name(name).is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    archive.by_name(name)?.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Numbers of one kind in a row, kept as an entry of the archive.
#[derive(Clone, Debug)]
struct Storage {
    kind: Kind,
    key: String,
}

/// A tensor as a view of a storage.
#[derive(Clone, Debug)]
struct View {
    storage: Storage,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
}

impl View {
    fn tensor(&self, bytes: &[u8]) -> Result<Tensor> {
        let View { storage, offset, size, stride } = self;
        let width = storage.kind.elt_size_in_bytes();
        ensure!(bytes.len().is_multiple_of(width), "{} bytes are no whole numbers", bytes.len());
        let count = (bytes.len() / width) as i64;
        let empty = size.contains(&0);
        // Where the last number lies; None on overflow.
        let last = size.iter().zip(stride).try_fold(*offset, |last, (&size, &stride)| {
            (size >= 0 && stride >= 0)
                .then(|| last.checked_add((size - 1).max(0).checked_mul(stride)?))?
        });
        ensure!(
            size.len() == stride.len()
                && *offset >= 0
                && last.is_some_and(|last| empty || last < count),
            "shape {size:?}, stride {stride:?} and offset {offset} reach beyond its {count} numbers"
        );
        let numbers = Tensor::f_from_data_size(bytes, &[count], storage.kind)?;
        Ok(numbers.f_as_strided(&size[..], &stride[..], *offset)?.f_contiguous()?)
    }
}

/// A dictionary's tensors by name; `None` stands for a value of any other kind.
type Entries = Rc<RefCell<Vec<(String, Option<View>)>>>;

/// Tuples in tuples: a tensor's description needs two.
const MAX_DEPTH: usize = 8;

/// What a tuple may hold, all tuples in it counted: a tensor's description needs about twenty.
const MAX_SIZE: usize = 256;

/// What a state dict's pickle builds.
#[derive(Clone, Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
    Dict(Entries),
    Dtype(Kind),
    Storage(Storage),
    Tensor(View),
    MakeDict,
    MakeTensor,
    MakeParameter,
    Mark,
}

impl Value {
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

/// The stack machine that a pickle is written for.
struct Machine<'a> {
    program: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    fn run(program: &'a [u8]) -> Result<Value> {
        let mut machine = Machine { program, stack: Vec::new(), memo: HashMap::new() };
        loop {
            let at = program.len() - machine.program.len();
            let done = machine.step().with_context(|| format!("at byte {at} of its data.pkl"))?;
            if let Some(value) = done {
                return Ok(value);
            }
        }
    }

    /// One instruction; the result of the program after the last.
    fn step(&mut self) -> Result<Option<Value>> {
        match self.byte()? {
            // PROTO, FRAME: how the program is written down.
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
            // LONG1: as many bytes as it takes.
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
            b')' => self.stack.push(Value::Tuple(Vec::new())),
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
            // BUILD: a state dict carries its modules' versions as an attribute, which is left out.
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
        let text = std::str::from_utf8(self.take(length)?)?.to_string();
        self.stack.push(Value::Text(text));
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
        let tuple = Value::Tuple(items);
        // Values are dropped by recursion, so their depth has an end; and a few bytes of the program make
        // a copy of a kept value, so its size has one too.
        ensure!(tuple.depth() <= MAX_DEPTH, "tuples in tuples, {MAX_DEPTH} deep");
        ensure!(tuple.size() <= MAX_SIZE, "a tuple of more than {MAX_SIZE} values");
        self.stack.push(tuple);
        Ok(())
    }

    fn insert(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(Value::Dict(entries)) = self.stack.last() else {
            bail!("entries for something else than a dictionary");
        };
        ensure!(items.len().is_multiple_of(2), "a name without a value");
        let mut items = items.into_iter();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            let Value::Text(name) = name else { bail!("an entry whose name is no text") };
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
            self.memo.get(&place).with_context(|| format!("nothing was kept as {place}"))?;
        self.stack.push(value.clone());
        Ok(())
    }
}

/// The few names that a state dict may use.
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

/// `("storage", kind, key, place, count)`.
fn storage(id: Value) -> Result<Value> {
    if let Value::Tuple(items) = &id
        && let [Value::Text(tag), Value::Dtype(kind), Value::Text(key), ..] = &items[..]
        && tag == "storage"
    {
        return Ok(Value::Storage(Storage { kind: *kind, key: key.clone() }));
    }
    bail!("{id:?} stands for no storage")
}

fn call(function: Value, arguments: Value) -> Result<Value> {
    let Value::Tuple(arguments) = arguments else { bail!("a call without arguments") };
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
        ) => Ok(Value::Tensor(View {
            storage: storage.clone(),
            offset: *offset,
            size: integers(size)?,
            stride: integers(stride)?,
        })),
        (Value::MakeParameter, [Value::Tensor(view), ..]) => Ok(Value::Tensor(view.clone())),
        (function, _) => bail!("{function:?} called with {arguments:?}"),
    }
}

fn integers(values: &[Value]) -> Result<Vec<i64>> {
    let integer = |value: &Value| match value {
        Value::Int(value) => Ok(*value),
        other => bail!("{other:?} where a number belongs"),
    };
    values.iter().map(integer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(program: &[u8]) -> String {
        format!("{:#}", Machine::run(program).unwrap_err())
    }

    #[test]
    fn a_program_that_calls_anything_else_is_refused() {
        // What `pickle.dumps` makes of an object whose `__reduce__` is `(os.system, ("true",))`.
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
    }

    #[test]
    fn a_view_stays_inside_its_storage() {
        let storage = Storage { kind: Kind::Float, key: "0".to_string() };
        let view = |offset, size: &[i64], stride: &[i64]| {
            let (size, stride) = (size.to_vec(), stride.to_vec());
            View { storage: storage.clone(), offset, size, stride }.tensor(&[0; 24])
        };
        assert_eq!(view(0, &[2, 3], &[3, 1]).unwrap().size(), [2, 3]);
        assert_eq!(view(0, &[3, 2], &[1, 3]).unwrap().size(), [3, 2]);
        assert_eq!(view(0, &[0, 9], &[9, 1]).unwrap().size(), [0, 9]);
        for (offset, size, stride) in [
            (1, &[2, 3][..], &[3, 1][..]),
            (0, &[7], &[1]),
            (-1, &[1], &[1]),
            (0, &[-1], &[1]),
            (0, &[2], &[-1]),
            (0, &[2, 2], &[1]),
            (0, &[i64::MAX, i64::MAX], &[i64::MAX, 2]),
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
