//! The Hugging Face distribution: parquet files with a PNG and a label in each row.
//!
//! The columns are those that the `datasets` library writes for `Image` and `ClassLabel` features:
//! `image: struct<bytes: binary, path: string>` and `label: int64`.

use super::folder::Pairs;
use super::limits::{MAX_IMAGES, most_unpacked};
use super::parquet_pages::{check_footer, check_pages};
use super::set::{CLASSES_FILE, Conventions, DataSet};
use super::{Mnist, Source};
use crate::Result;
use crate::runtime::panic::caught;
use anyhow::{Context, bail, ensure};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use parquet::basic::Type as PhysicalType;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, Int64Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The most bytes that one decoded PNG may take.
const MAX_PNG: u64 = 64 << 20;

impl Mnist {
    /// Loads parquet files in the layout of the Hugging Face distribution, the shards of a split in
    /// their order.
    ///
    /// Color PNGs become gray (their luma). The classes are those that `classes.txt` in the folder
    /// of the first file names, else those of the first file's `ClassLabel` feature, else ten
    /// digits.
    ///
    /// # Errors
    /// When a file is damaged, a column is missing or has another type, a value is null, a PNG has
    /// another size than the first, a label has no class, or a split has more than a million images
    /// or far more pixels than files of this size should have. Messages name the file, the row and
    /// the column.
    pub fn from_parquet(train: &[impl AsRef<Path>], test: &[impl AsRef<Path>]) -> Result<Mnist> {
        let folder = train.first().and_then(|path| path.as_ref().parent()).unwrap_or(Path::new(""));
        let conventions = conventions(train, folder)?;
        let pairs: Pairs = [read_shards(train, &conventions)?, read_shards(test, &conventions)?];
        Mnist::from_pairs(pairs, conventions.names, Source::Parquet(folder.to_path_buf()))
    }

    /// Loads the files `train-*.parquet` and `test-*.parquet` of a folder, in the order of their
    /// names; see [`from_parquet`](Mnist::from_parquet).
    pub fn from_parquet_dir(folder: impl AsRef<Path>) -> Result<Mnist> {
        let folder = folder.as_ref();
        Mnist::from_parquet(&shards(folder, "train-")?, &shards(folder, "test-")?)
    }
}

/// The class names and the range of labels of a data set.
fn conventions(train: &[impl AsRef<Path>], folder: &Path) -> Result<Conventions> {
    let conventions = Conventions::in_folder(DataSet::Mnist, folder)?;
    match train.first() {
        Some(path) if !folder.join(CLASSES_FILE).exists() => {
            let path = path.as_ref();
            let names = guarded(path, || feature_names(path))?;
            Ok(match names {
                Some(names) => conventions.with_names(names, "the feature \"label\""),
                None => conventions,
            })
        }
        _ => Ok(conventions),
    }
}

/// The names of the `ClassLabel` feature that the `datasets` library writes into a file.
fn feature_names(path: &Path) -> Result<Option<Vec<String>>> {
    let (_, reader) = open(path)?;
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let json = metadata
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref())
        .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let names =
        json.as_ref().and_then(|json| json["info"]["features"]["label"]["names"].as_array());
    Ok(names.and_then(|names| {
        names.iter().map(|name| Some(name.as_str()?.to_string())).collect::<Option<Vec<_>>>()
    }))
}

/// Opens a file and reads its footer.
fn open(path: &Path) -> Result<(File, SerializedFileReader<File>)> {
    let file = File::open(path)?;
    check_footer(&file)?;
    let reader = SerializedFileReader::new(file.try_clone()?)?;
    Ok((file, reader))
}

/// Runs a reader of the parquet crate, which asserts some of what a file declares, so that a
/// damaged file is an error and not a panic.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(read)
        .unwrap_or_else(|_| bail!("damaged; fetch the file again"))
        .with_context(|| path.display().to_string())
}

/// The parquet files of a folder whose names start with `prefix`, in order.
fn shards(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let entries = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = entries().with_context(|| format!("{}: cannot be listed", folder.display()))?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".parquet")
    });
    paths.sort();
    ensure!(!paths.is_empty(), "{}: no file {prefix}*.parquet", folder.display());
    Ok(paths)
}

/// Images and labels of one split, row by row.
#[derive(Default)]
struct Rows {
    /// Bytes of the files that have been opened so far.
    stored: u64,
    /// Width and height of the first image.
    size: Option<(u32, u32)>,
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

/// Reads all shards of a split: images `[N, 1, H, W]` uint8 and labels `[N]` int64.
fn read_shards(paths: &[impl AsRef<Path>], conventions: &Conventions) -> Result<(Tensor, Tensor)> {
    let mut rows = Rows::default();
    for path in paths {
        let path = path.as_ref();
        guarded(path, || read_shard(path, &mut rows, conventions))?;
    }
    let (width, height) = rows.size.with_context(|| {
        let names: Vec<String> =
            paths.iter().map(|path| path.as_ref().display().to_string()).collect();
        format!("{}: no rows in the parquet files of a split", names.join(", "))
    })?;
    let size = [rows.labels.len() as i64, 1, height.into(), width.into()];
    Ok((
        Tensor::f_from_data_size(&rows.pixels, &size, Kind::Uint8)?,
        Tensor::f_from_slice(&rows.labels)?,
    ))
}

fn read_shard(path: &Path, rows: &mut Rows, conventions: &Conventions) -> Result<()> {
    let (file, reader) = open(path)?;
    rows.stored += file.metadata()?.len();
    let column = |name: &str, kind: PhysicalType| {
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        let index = columns.iter().position(|column| column.path().string() == name);
        let index = index.with_context(|| {
            let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
            format!("no column {name}; there are {}", names.join(", "))
        })?;
        let (found, repeated) = (columns[index].physical_type(), columns[index].max_rep_level());
        ensure!(found == kind && repeated == 0, "column {name} is {found}, expected one {kind}");
        Ok(index)
    };
    let images = column("image.bytes", PhysicalType::BYTE_ARRAY)?;
    let labels = column("label", PhysicalType::INT64)?;
    check_sizes(&file, reader.metadata().row_groups(), [images, labels], rows.labels.len() as u64)?;
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let pngs = values::<ByteArrayType>(&*group, images, row)?;
        let labels = values::<Int64Type>(&*group, labels, row)?;
        for (png, label) in pngs.iter().zip(labels) {
            let row_context = || format!("row {row}");
            conventions.check(label).with_context(row_context)?;
            rows.push(png.data(), label).with_context(row_context)?;
            row += 1;
        }
    }
    Ok(())
}

/// Checks what the metadata of a file and its page headers declare, before it is allocated. `before`
/// rows of other files belong to the same split.
fn check_sizes(
    file: &File,
    groups: &[RowGroupMetaData],
    columns: [usize; 2],
    before: u64,
) -> Result<()> {
    let rows = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(u64::MAX));
    let rows = rows.fold(before, u64::saturating_add);
    ensure!(rows <= MAX_IMAGES, "declares {rows} rows, expected at most {MAX_IMAGES} in a split");
    let mut bytes = 0u64;
    for group in groups {
        for column in columns.map(|column| group.column(column)) {
            bytes = bytes.saturating_add(column.byte_range().1);
            check_pages(file, column, group.num_rows())
                .with_context(|| format!("column {}", column.column_path().string()))?;
        }
    }
    let stored = file.metadata()?.len();
    ensure!(bytes <= stored, "columns of {bytes} bytes in a file of {stored}");
    Ok(())
}

/// Reads all values of a column in a row group whose first row is `row` of the file.
fn values<T: DataType>(group: &dyn RowGroupReader, column: usize, row: usize) -> Result<Vec<T::T>> {
    let count = usize::try_from(group.metadata().num_rows())?;
    let descriptor = group.metadata().column(column).column_descr();
    let full = descriptor.max_def_level();
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    while reader.read_records(count, Some(&mut levels), None, &mut values)?.0 > 0 {}
    let name = descriptor.path().string();
    if let Some(null) = levels.iter().position(|&level| level < full) {
        bail!("row {}: column {name} is null", row + null);
    }
    ensure!(values.len() == count, "column {name} has {} of {count} values", values.len());
    Ok(values)
}

impl Rows {
    fn push(&mut self, png: &[u8], label: i64) -> Result<()> {
        const UNREADABLE: &str = "the image is not a readable PNG";
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_PNG);
        let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
        reader.limits(limits);
        let decoder = reader.into_decoder().context(UNREADABLE)?;
        let found = decoder.dimensions();
        let pixels = u64::from(found.0) * u64::from(found.1) + self.pixels.len() as u64;
        let most = most_unpacked(self.stored);
        ensure!(
            pixels <= most,
            "an image of {}×{} pixels, which makes {pixels} pixels, expected at most {most} in \
             files of {} bytes",
            found.0,
            found.1,
            self.stored
        );
        ensure!(decoder.total_bytes() <= MAX_PNG, "an image of {} bytes", decoder.total_bytes());
        let first = *self.size.get_or_insert(found);
        ensure!(
            found == first,
            "an image of {}×{} pixels, the first has {}×{}",
            found.0,
            found.1,
            first.0,
            first.1
        );
        let image = DynamicImage::from_decoder(decoder).context(UNREADABLE)?.into_luma8();
        self.pixels.extend(image.as_raw());
        self.labels.push(label);
        Ok(())
    }
}
