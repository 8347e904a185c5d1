//! Tables as CSV (RFC 4180, UTF-8, a line of column names first). Times are RFC
//! 3339 in UTC with microseconds; what is absent is empty.

use crate::error::Error;
use crate::tables::{Cell, Sink, Table};
use crate::time::rfc3339;
use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) struct CsvTables {
    files: Vec<(PathBuf, csv::Writer<File>)>,
}

fn failed(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    let path = path.to_owned();
    |error| Error::Io {
        path,
        source: error.into(),
    }
}

impl CsvTables {
    pub(crate) fn create(dir: &Path, transfer: &str) -> Result<Self, Error> {
        let create = |table: Table| {
            let path = dir.join(format!("{transfer}_{}.csv", table.name()));
            let file = File::create_new(&path).map_err(Error::io(&path))?;
            let mut writer = csv::Writer::from_writer(file);
            let names = table.columns().iter().map(|(name, _)| name);
            writer.write_record(names).map_err(failed(&path))?;
            Ok((path, writer))
        };
        let files = Table::ALL.into_iter().map(create);
        Ok(Self {
            files: files.collect::<Result<_, Error>>()?,
        })
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        for (path, writer) in self.files {
            let flushed = writer.into_inner().map_err(|error| Error::Io {
                path: path.clone(),
                source: std::io::Error::other(error.to_string()),
            })?;
            flushed.sync_all().map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

impl Sink for CsvTables {
    fn row(&mut self, table: Table, row: &[Cell]) -> Result<(), Error> {
        let index = Table::ALL.iter().position(|one| *one == table);
        let Some((path, writer)) = index.and_then(|index| self.files.get_mut(index)) else {
            return Ok(());
        };
        let cells = row.iter().map(text);
        writer.write_record(cells).map_err(failed(path))
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Whole(number) => number.map_or(String::new(), |number| number.to_string()),
        Cell::Real(Some((number, u8::MAX))) => number.to_string(),
        Cell::Real(Some((number, places))) => format!("{number:.*}", usize::from(*places)),
        Cell::Real(None) => String::new(),
        Cell::Time(us) => us.map_or(String::new(), rfc3339),
        Cell::Flag(flag) => flag.to_string(),
    }
}
