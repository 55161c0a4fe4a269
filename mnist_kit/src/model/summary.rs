//! What a model's parameters are called, how they are shaped and how many there are.

use crate::table::{Table, thousands};
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

    /// Name, shape and count of each parameter; the title sums up.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["parameter", "shape", "count"]).title(format!(
            "{} parameters, {} trainable",
            thousands(self.total()),
            thousands(self.trainable())
        ));
        for row in &self.rows {
            table.push([row.name.clone(), format!("{:?}", row.shape), thousands(row.count)]);
        }
        table
    }

    /// Shows the table in a notebook.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}
