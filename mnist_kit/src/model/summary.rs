//! Names, shapes and counts of a model's parameters, and which of them are trainable.

use crate::Result;
use crate::check::plain;
use crate::table::{Table, thousands};
use anyhow::ensure;
use std::fmt::{self, Display, Formatter};
use tch::{Tensor, nn};

/// Returns the parameters of a store with their names, in the order of their creation.
///
/// Buffers such as BatchNorm's running statistics are not parameters and are left out.
pub fn named_parameters(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let named = vs.variables();
    // The store keeps names without order and order without names; the data pointer links them.
    vs.trainable_variables()
        .into_iter()
        .filter_map(|parameter| {
            let same = |other: &Tensor| other.data_ptr() == parameter.data_ptr();
            let name = named.iter().find(|(_, other)| same(other)).map(|(name, _)| name.clone())?;
            Some((name, parameter))
        })
        .collect()
}

/// Makes the parameters under `prefixes` trainable and freezes all others.
///
/// The prefix `layer4` stands for `layer4` and `layer4.0.conv1.weight`, but not for `layer40`.
/// Buffers such as running means stay as they are.
///
/// # Errors
/// If there is no parameter under a prefix; nothing is changed then.
///
/// ```
/// use mnist_kit::model::{linear, summary, train_only};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// linear(vs.root() / "body", 8, 4);
/// linear(vs.root() / "fc", 4, 2);
/// train_only(&vs, &["fc"])?;
/// assert_eq!((summary(&vs).total(), summary(&vs).trainable()), (46, 10));
/// assert!(train_only(&vs, &["head"]).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn train_only(vs: &nn::VarStore, prefixes: &[&str]) -> Result<()> {
    plain(set_trainable(vs, prefixes))
}

fn set_trainable(vs: &nn::VarStore, prefixes: &[&str]) -> Result<()> {
    let parameters = named_parameters(vs);
    for prefix in prefixes {
        ensure!(
            parameters.iter().any(|(name, _)| is_part_of(name, prefix)),
            "no parameter is called {prefix} or {prefix}.…; there are {}",
            parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    for (name, parameter) in parameters {
        let trainable = prefixes.iter().any(|prefix| is_part_of(&name, prefix));
        let _ = parameter.f_set_requires_grad(trainable)?;
    }
    Ok(())
}

/// Returns whether `name` is `prefix` or lies under it: `layer4.0.bn1` under `layer4`.
pub(crate) fn is_part_of(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Lists the parameters of a store with their shapes and counts.
///
/// ```
/// use mnist_kit::model::{linear, summary};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// linear(vs.root() / "fc", 784, 10);
/// assert_eq!(summary(&vs).total(), 7_850);
/// assert_eq!(summary(&vs).table().rows()[0], ["fc.weight", "[10, 784]", "7,840"]);
/// ```
pub fn summary(vs: &nn::VarStore) -> Summary {
    let rows = named_parameters(vs)
        .into_iter()
        .map(|(name, parameter)| Row {
            name,
            shape: parameter.size(),
            count: parameter.numel() as i64,
            trainable: parameter.requires_grad(),
        })
        .collect();
    Summary { rows }
}

/// The parameters of a model, displayed as a table. Made by [`summary`].
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: String,
    shape: Vec<i64>,
    count: i64,
    trainable: bool,
}

impl Summary {
    /// Returns the number of parameters.
    pub fn total(&self) -> i64 {
        self.rows.iter().map(|row| row.count).sum()
    }

    /// Returns the number of trainable parameters, without those of frozen layers.
    pub fn trainable(&self) -> i64 {
        self.rows.iter().filter(|row| row.trainable).map(|row| row.count).sum()
    }

    /// Returns a table with name, shape and count of each parameter, and with a column `trainable`
    /// if some are frozen; the title has the totals.
    pub fn table(&self) -> Table {
        let some_frozen = self.trainable() < self.total();
        let mut header = vec!["parameter", "shape", "count"];
        header.extend(some_frozen.then_some("trainable"));
        let mut table = Table::new(header).title(self.totals());
        for row in &self.rows {
            let mut cells =
                vec![row.name.clone(), format!("{:?}", row.shape), thousands(row.count)];
            cells.extend(some_frozen.then(|| if row.trainable { "yes" } else { "no" }.to_string()));
            table.push(cells);
        }
        table
    }

    /// Returns a shorter table with a row for all parameters whose names begin alike: those in a
    /// row share the first `depth` parts of their names, which dots separate. The column `trainable`
    /// says `partly` where only some of them are.
    ///
    /// ```
    /// use mnist_kit::model::{Backbone, summary, train_only};
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let model = Backbone::resnet18(vs.root(), 10)?;
    /// train_only(&vs, &[model.last_stage(), &[model.head_name()]].concat())?;
    /// let table = summary(&vs).grouped(1);
    /// assert_eq!(table.rows()[4], ["layer3", "2,099,712", "no"]);
    /// assert_eq!(table.rows()[5], ["layer4", "8,393,728", "yes"]);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn grouped(&self, depth: usize) -> Table {
        let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            let parts: Vec<&str> = row.name.split('.').take(depth.max(1)).collect();
            let prefix = parts.join(".");
            match groups.iter_mut().find(|(name, _)| *name == prefix) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((prefix, vec![row])),
            }
        }
        let mut table = Table::new(["parameters of", "count", "trainable"]).title(self.totals());
        for (prefix, rows) in groups {
            let count = rows.iter().map(|row| row.count).sum();
            let trainable = match rows.iter().filter(|row| row.trainable).count() {
                0 => "no",
                some if some < rows.len() => "partly",
                _ => "yes",
            };
            table.push([prefix, thousands(count), trainable.to_string()]);
        }
        table
    }

    fn totals(&self) -> String {
        format!("{} parameters, {} trainable", thousands(self.total()), thousands(self.trainable()))
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        self.table().fmt(f)
    }
}
