//! Tables as Parquet, compressed with Zstandard, in row groups of bounded size.
//! Columns are those of the tables; times are microseconds UTC.

use crate::error::Error;
use crate::tables::{Cell, Sink, Table, Type};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows held in memory before they are written.
const GROUP_ROWS: usize = 32_768;

pub(crate) struct ParquetTables(Vec<TableFile>);

struct TableFile {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
}

/// The cells of a column that are there, and for each row whether it has one.
enum Column {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>, Vec<i16>),
    Real(Vec<f64>, Vec<i16>),
    Flag(Vec<bool>),
}

impl Column {
    fn new(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text(Vec::new()),
            Type::Whole | Type::Time => Self::Whole(Vec::new(), Vec::new()),
            Type::Real => Self::Real(Vec::new(), Vec::new()),
            Type::Flag => Self::Flag(Vec::new()),
        }
    }

    fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Text(texts), Cell::Text(text)) => texts.push(text.as_str().into()),
            (Self::Whole(numbers, there), Cell::Whole(number) | Cell::Time(number)) => {
                there.push(i16::from(number.is_some()));
                numbers.extend(number);
            }
            (Self::Real(numbers, there), Cell::Real(number)) => {
                there.push(i16::from(number.is_some()));
                numbers.extend(number.map(|(number, _)| number));
            }
            (Self::Flag(flags), Cell::Flag(flag)) => flags.push(*flag),
            // A test holds every row of every table against its columns.
            (Self::Text(_) | Self::Whole(..) | Self::Real(..) | Self::Flag(_), _) => {}
        }
    }

    fn write(&self, to: &mut SerializedColumnWriter<'_>) -> Result<usize, ParquetError> {
        match self {
            Self::Text(texts) => to.typed::<ByteArrayType>().write_batch(texts, None, None),
            Self::Whole(numbers, there) => {
                to.typed::<Int64Type>()
                    .write_batch(numbers, Some(there), None)
            }
            Self::Real(numbers, there) => {
                to.typed::<DoubleType>()
                    .write_batch(numbers, Some(there), None)
            }
            Self::Flag(flags) => to.typed::<BoolType>().write_batch(flags, None, None),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Text(texts) => texts.clear(),
            Self::Whole(numbers, there) => {
                numbers.clear();
                there.clear();
            }
            Self::Real(numbers, there) => {
                numbers.clear();
                there.clear();
            }
            Self::Flag(flags) => flags.clear(),
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_owned();
    |error| Error::Format {
        path,
        what: error.to_string(),
    }
}

/// The schema in Parquet's own words.
fn schema(table: Table) -> String {
    let field = |(name, kind): &(&str, Type)| match kind {
        Type::Text => format!("REQUIRED BYTE_ARRAY {name} (STRING);"),
        Type::Whole => format!("OPTIONAL INT64 {name};"),
        Type::Real => format!("OPTIONAL DOUBLE {name};"),
        Type::Time => format!("OPTIONAL INT64 {name} (TIMESTAMP(MICROS,true));"),
        Type::Flag => format!("REQUIRED BOOLEAN {name};"),
    };
    let fields: Vec<String> = table.columns().iter().map(field).collect();
    format!("message {} {{ {} }}", table.name(), fields.join(" "))
}

impl ParquetTables {
    pub(crate) fn create(dir: &Path, transfer: &str) -> Result<Self, Error> {
        let create = |table: Table| {
            let path = dir.join(format!("{transfer}_{}.parquet", table.name()));
            let file = File::create_new(&path).map_err(Error::io(&path))?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let schema = parse_message_type(&schema(table)).map_err(failed(&path))?;
            let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties));
            let columns = table.columns().iter().map(|(_, kind)| Column::new(*kind));
            Ok(TableFile {
                writer: writer.map_err(failed(&path))?,
                path,
                columns: columns.collect(),
                rows: 0,
            })
        };
        let files = Table::ALL.into_iter().map(create);
        Ok(Self(files.collect::<Result<_, Error>>()?))
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        for mut table in self.0 {
            table.flush().map_err(failed(&table.path))?;
            let path = table.path;
            let file = table.writer.into_inner().map_err(failed(&path))?;
            file.sync_all().map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

impl TableFile {
    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            if let Some(mut writer) = group.next_column()? {
                column.write(&mut writer)?;
                writer.close()?;
            }
            column.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Sink for ParquetTables {
    fn row(&mut self, table: Table, row: &[Cell]) -> Result<(), Error> {
        let index = Table::ALL.iter().position(|one| *one == table);
        let Some(table) = index.and_then(|index| self.0.get_mut(index)) else {
            return Ok(());
        };
        for (column, cell) in table.columns.iter_mut().zip(row) {
            column.push(cell);
        }
        table.rows += 1;
        if table.rows < GROUP_ROWS {
            return Ok(());
        }
        table.flush().map_err(failed(&table.path))
    }
}
