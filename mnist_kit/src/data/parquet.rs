//! The Hugging Face distribution: parquet files with a PNG and a label in each row.
//!
//! Columns, as the `datasets` library writes its `Image` and `ClassLabel` features:
//! `image: struct<bytes: binary, path: string>` and `label: int64`.

use super::folder::Pairs;
use super::{Mnist, Source};
use crate::Result;
use anyhow::{Context, bail, ensure};
use image::{ImageFormat, ImageReader};
use parquet::basic::Type as PhysicalType;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, Int64Type};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

impl Mnist {
    /// A data set from parquet files in the layout of the Hugging Face distribution; the shards of a split in their order.
    ///
    /// PNGs in colour become grey (their luma). The number of classes is the largest label plus one.
    ///
    /// # Errors
    /// When a file cannot be read, a column is missing or has another type, a value is null, a PNG cannot be decoded or
    /// has another size than the first, or a label is outside 0–255. Messages name the file, the row and the column.
    pub fn from_parquet(train: &[impl AsRef<Path>], test: &[impl AsRef<Path>]) -> Result<Mnist> {
        let folder = train.first().and_then(|path| path.as_ref().parent()).unwrap_or(Path::new(""));
        let pairs: Pairs = [read_shards(train)?, read_shards(test)?];
        Mnist::from_pairs(pairs, Source::Parquet(folder.to_path_buf()))
    }

    /// [`from_parquet`](Mnist::from_parquet) with the files `train-*.parquet` and `test-*.parquet` of a folder, in the order
    /// of their names.
    ///
    /// # Errors
    /// As above, and when a split has no file.
    pub fn from_parquet_dir(folder: impl AsRef<Path>) -> Result<Mnist> {
        let folder = folder.as_ref();
        Mnist::from_parquet(&shards(folder, "train-")?, &shards(folder, "test-")?)
    }
}

/// The parquet files of a folder whose names start so, in order.
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

/// The images and labels of one split while it is read.
#[derive(Default)]
struct Rows {
    /// Width and height of the first image.
    size: Option<(u32, u32)>,
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

/// `[N, 1, H, W]` uint8 and `[N]` int64 of all shards, one after the other.
fn read_shards(paths: &[impl AsRef<Path>]) -> Result<(Tensor, Tensor)> {
    let mut rows = Rows::default();
    for path in paths {
        let path = path.as_ref();
        read_shard(path, &mut rows).with_context(|| path.display().to_string())?;
    }
    let (width, height) = rows.size.context("no rows in the parquet files of a split")?;
    let size = [rows.labels.len() as i64, 1, height.into(), width.into()];
    Ok((
        Tensor::f_from_data_size(&rows.pixels, &size, Kind::Uint8)?,
        Tensor::f_from_slice(&rows.labels)?,
    ))
}

fn read_shard(path: &Path, rows: &mut Rows) -> Result<()> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
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
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let pngs = values::<ByteArrayType>(&*group, images, row)?;
        let labels = values::<Int64Type>(&*group, labels, row)?;
        for (png, label) in pngs.iter().zip(labels) {
            rows.push(png.data(), label).with_context(|| format!("row {row}"))?;
            row += 1;
        }
    }
    Ok(())
}

/// All values of a column in a row group whose first row is `row` of the file.
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
        ensure!((0..=255).contains(&label), "label {label}, expected 0 to 255");
        let image = ImageReader::with_format(Cursor::new(png), ImageFormat::Png)
            .decode()
            .context("the image is no readable PNG")?
            .into_luma8();
        let (found, first) = (image.dimensions(), *self.size.get_or_insert(image.dimensions()));
        ensure!(
            found == first,
            "an image of {}×{} pixels, the first has {}×{}",
            found.0,
            found.1,
            first.0,
            first.1
        );
        self.pixels.extend(image.as_raw());
        self.labels.push(label);
        Ok(())
    }
}
