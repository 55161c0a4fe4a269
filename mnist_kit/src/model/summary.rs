//! What a model's parameters are called, how they are shaped and how many there are.

use crate::Result;
use crate::table::{Table, thousands};
use anyhow::ensure;
use tch::{Tensor, nn};

/// The learned parameters of a store with their names, in the order in which they were created.
///
/// Running statistics and other buffers are not parameters and are left out.
pub fn named_parameters(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let named = vs.variables();
    // The store keeps names without order and order without names; the storage links them.
    vs.trainable_variables()
        .into_iter()
        .filter_map(|parameter| {
            let same = |other: &Tensor| other.data_ptr() == parameter.data_ptr();
            let name = named.iter().find(|(_, other)| same(other)).map(|(name, _)| name.clone())?;
            Some((name, parameter))
        })
        .collect()
}

/// Lets the parameters learn whose names begin with one of `prefixes` (`"layer4"` means `layer4.0.…`,
/// not `layer40`), and freezes all others. Buffers such as running means are not concerned.
///
/// # Errors
/// When a prefix fits no parameter; nothing is changed then.
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
    let parameters = named_parameters(vs);
    for prefix in prefixes {
        ensure!(
            parameters.iter().any(|(name, _)| is_part_of(name, prefix)),
            "no parameter is called {prefix} or {prefix}.…; there are {}",
            parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    for (name, parameter) in parameters {
        let learns = prefixes.iter().any(|prefix| is_part_of(&name, prefix));
        let _ = parameter.f_set_requires_grad(learns)?;
    }
    Ok(())
}

/// Whether `name` is `prefix` or lies under it: `layer4.0.bn1` under `layer4`.
pub(crate) fn is_part_of(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The parameters of a store as a table: name, shape, count.
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

/// A model's parameters; shows itself as a table.
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
    /// Number of parameters.
    pub fn total(&self) -> i64 {
        self.rows.iter().map(|row| row.count).sum()
    }

    /// Number of parameters that learn, those of frozen layers left out.
    pub fn trainable(&self) -> i64 {
        self.rows.iter().filter(|row| row.trainable).map(|row| row.count).sum()
    }

    /// Name, shape and count of each parameter, and whether it learns where some are frozen; the title
    /// sums up.
    pub fn table(&self) -> Table {
        let some_frozen = self.trainable() < self.total();
        let mut header = vec!["parameter", "shape", "count"];
        header.extend(some_frozen.then_some("learns"));
        let mut table = Table::new(header).title(format!(
            "{} parameters, {} trainable",
            thousands(self.total()),
            thousands(self.trainable())
        ));
        for row in &self.rows {
            let mut cells =
                vec![row.name.clone(), format!("{:?}", row.shape), thousands(row.count)];
            cells.extend(
                some_frozen.then(|| if row.trainable { "yes" } else { "frozen" }.to_string()),
            );
            table.push(cells);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}
