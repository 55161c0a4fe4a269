//! Tables, shown as aligned text in a terminal and as HTML in a notebook, and numbers as text.

use std::fmt;

/// A table of text cells below a header.
///
/// ```
/// use mnist_kit::table::Table;
///
/// let table = Table::new(["digit", "images"]).row(["0", "5,923"]).row(["1", "6,742"]);
/// assert_eq!(table.to_string(), "digit  images\n-----  ------\n    0   5,923\n    1   6,742\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    title: Option<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates an empty table with these column names.
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Table {
        Table {
            title: None,
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Sets the line above the table.
    pub fn title(&self, title: impl Into<String>) -> Table {
        Table { title: Some(title.into()), ..self.clone() }
    }

    /// Appends a note, such as [`Split::note`](crate::data::Split::note), to the title; `None` changes
    /// nothing.
    pub fn note(&self, note: Option<&str>) -> Table {
        let title = match (&self.title, note) {
            (Some(title), Some(note)) => Some(format!("{title} — {note}")),
            (title, note) => title.clone().or(note.map(str::to_string)),
        };
        Table { title, ..self.clone() }
    }

    /// Adds one row.
    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Table {
        self.push(cells);
        self
    }

    /// Adds one row in place, for loops.
    pub fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Returns the rows without the header.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Returns the table as HTML; all text is escaped.
    pub fn to_html(&self) -> String {
        let numeric = self.numeric_columns();
        let cells = |tag: &str, row: &[String]| -> String {
            row.iter()
                .enumerate()
                .map(|(column, cell)| {
                    let align = if numeric.get(column) == Some(&true) { "right" } else { "left" };
                    format!("<{tag} style=\"text-align:{align}\">{}</{tag}>", escape(cell))
                })
                .collect()
        };
        let caption = self.title.iter().map(|title| {
            format!(
                "<caption style=\"caption-side:top;text-align:left;font-weight:bold;white-space:nowrap\">{}</caption>",
                escape(title)
            )
        });
        let rows = self.rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row)));
        format!(
            "<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
            caption.collect::<String>(),
            cells("th", &self.header),
            rows.collect::<String>()
        )
    }

    /// Returns the table as comma-separated values, without its title, for spreadsheets and other
    /// programs.
    ///
    /// ```
    /// use mnist_kit::table::Table;
    ///
    /// let mut table = Table::new(["model", "parameters"]);
    /// table.push(["MLP", "79,510"]);
    /// assert_eq!(table.to_csv(), "model,parameters\nMLP,\"79,510\"\n");
    /// ```
    pub fn to_csv(&self) -> String {
        let field = |text: &String| {
            if text.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.clone()
            }
        };
        let lines = std::iter::once(&self.header).chain(&self.rows);
        lines.map(|row| row.iter().map(field).collect::<Vec<_>>().join(",") + "\n").collect()
    }

    /// Shows the table in a notebook; evcxr calls this for the last value of a cell.
    pub fn evcxr_display(&self) {
        evcxr_runtime::mime_type("text/html").text(self.to_html());
        evcxr_runtime::mime_type("text/plain").text(self.to_string());
    }

    /// Returns for each column whether it is aligned to the right: all its cells are numbers or mark a
    /// missing one.
    fn numeric_columns(&self) -> Vec<bool> {
        (0..self.header.len())
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).all(|cell| {
                    matches!(cell.as_str(), "–" | "…")
                        || cell
                            .trim_start_matches(['-', '+', '−'])
                            .starts_with(|c: char| c.is_ascii_digit())
                })
            })
            .collect()
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                all()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let numeric = self.numeric_columns();
        if let Some(title) = &self.title {
            writeln!(f, "{title}")?;
        }
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        for row in std::iter::once(&self.header).chain([&rule]).chain(&self.rows) {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .zip(&numeric)
                .map(
                    |((cell, &width), &right)| {
                        if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    },
                )
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Writes an integer with a comma between groups of three digits: `79510` → `"79,510"`.
///
/// ```
/// assert_eq!(mnist_kit::table::thousands(79_510), "79,510");
/// assert_eq!(mnist_kit::table::thousands(-1_000), "-1,000");
/// assert_eq!(mnist_kit::table::thousands(7), "7");
/// ```
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a fraction as a percentage with two decimals: `0.9702` → `"97.02 %"`.
///
/// A missing value (NaN) becomes a dash.
///
/// ```
/// assert_eq!(mnist_kit::table::percent(0.9702), "97.02 %");
/// assert_eq!(mnist_kit::table::percent(f64::NAN), "–");
/// ```
pub fn percent(fraction: f64) -> String {
    if fraction.is_nan() { "–".to_string() } else { format!("{:.2} %", 100.0 * fraction) }
}

/// Writes the mean of fractions and their standard deviation (of a sample) in percent.
///
/// One value has no deviation, and no value no mean: they become dashes.
///
/// ```
/// use mnist_kit::table::percent_spread;
///
/// assert_eq!(percent_spread(&[0.97, 0.98, 0.99]), "98.00 ± 1.00 %");
/// assert_eq!(percent_spread(&[0.97]), "97.00 ± – %");
/// ```
pub fn percent_spread(fractions: &[f64]) -> String {
    let percents: Vec<f64> = fractions.iter().map(|fraction| 100.0 * fraction).collect();
    format!("{} %", spread(&percents, 2))
}

/// Writes the mean of values and their standard deviation (of a sample) with this many decimals, see
/// [`percent_spread`].
///
/// ```
/// assert_eq!(mnist_kit::table::spread(&[1.0, 3.0], 3), "2.000 ± 1.414");
/// ```
pub fn spread(values: &[f64], decimals: usize) -> String {
    let mean = |values: &[f64], count: usize| values.iter().sum::<f64>() / count as f64;
    let center = mean(values, values.len());
    let squares: Vec<f64> = values.iter().map(|value| (value - center).powi(2)).collect();
    let deviation = mean(&squares, values.len().saturating_sub(1)).sqrt();
    let text = |value: f64| {
        if value.is_nan() { "–".to_string() } else { format!("{value:.decimals$}") }
    };
    format!("{} ± {}", text(center), text(deviation))
}

/// Writes a difference between two fractions in percentage points with two decimals: `0.0047` →
/// `"0.47 points"`.
///
/// A missing value (NaN) becomes a dash.
///
/// ```
/// use mnist_kit::table::points;
///
/// assert_eq!(points(0.9745 - 0.9698), "0.47 points");
/// assert_eq!(points(-0.0163), "-1.63 points");
/// assert_eq!(points(-1e-9), "0.00 points");
/// assert_eq!(points(f64::NAN), "–");
/// ```
pub fn points(difference: f64) -> String {
    // Adding 0 turns a rounded -0 into 0.
    let rounded = (1e4 * difference).round() / 100.0 + 0.0;
    if rounded.is_nan() { "–".to_string() } else { format!("{rounded:.2} points") }
}
