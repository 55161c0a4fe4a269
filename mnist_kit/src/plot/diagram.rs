//! A network as boxes from left to right.

use crate::Result;
use crate::figure::theme::{self, Color, TextStyle};
use crate::figure::{Figure, Part, SIZES, text_width};
use crate::model::{Layer, Layers, device};
use crate::table::thousands;
use anyhow::{Context, ensure};
use plotters::style::text_anchor::HPos;
use tch::{Kind, Tensor};

/// Draws a network as boxes from left to right, in several rows if there are many.
///
/// `input` is the shape of one input, `[1, 28, 28]`. A box has the layer's name, its settings and
/// its number of parameters; below it stands the shape of its output for one input, where the layer
/// changes the shape. Activations and other layers without settings are small boxes. Residual
/// blocks are drawn with their shortcut, and a model that is a single block with all its layers. The
/// caption has the number of parameters.
///
/// # Errors
/// If a layer cannot process what the layer before it returns; the message names the layer.
///
/// ```
/// use mnist_kit::model::LeNet;
/// use mnist_kit::plot::network_diagram;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let diagram = network_diagram(&LeNet::new(vs.root()), &[1, 28, 28])?;
/// let svg = diagram.to_svg()?;
/// assert!(svg.contains("conv 5×5") && svg.contains("[6, 24, 24]"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn network_diagram(model: &(impl Layers + ?Sized), input: &[i64]) -> Result<Figure> {
    let layers = model.layers();
    ensure!(!layers.is_empty(), "nothing to draw: the model lists no layers");
    let parameters: i64 = layers.iter().map(Layer::parameters).sum();
    let diagram = Diagram::new(&layers, input)?;
    let (width, height) = diagram.size(WIDTH);
    let (width, height) = (width + 2.0 * theme::MARGIN, height + 2.0 * theme::MARGIN);
    ensure!(
        height <= SIZES.1,
        "{} layers are too many for one figure; draw parts of the model",
        layers.len()
    );
    let figure =
        Figure::new(width.max(SIZES.0), height.max(SIZES.0), move |part| diagram.draw(part));
    Ok(figure.caption(format!("{} parameters", thousands(parameters))))
}

/// Width of the rows, if nothing else is asked for: a figure of this width fits a page.
const WIDTH: f64 = 850.0;
const BOX_HEIGHT: f64 = 66.0;
const LINE: f64 = 17.0;
const CORNER: f64 = 6.0;
/// Between two boxes, for the arrow.
const ARROW: f64 = 20.0;
/// Right of a row, for the arrow to the next one.
const TURN: f64 = 10.0;
/// Below a row of boxes, for the shapes.
const SHAPES: f64 = 22.0;
/// Between two rows, for the arrow to the next one.
const ROWS: f64 = 26.0;
/// Above a row of boxes with a shortcut around them.
const SHORTCUT: f64 = 30.0;
const NAME: TextStyle = TextStyle { bold: true, ..theme::TICK };
const SMALL: TextStyle = TextStyle { size: 10.0, ..theme::TICK };

/// A layer as a box.
#[derive(Clone)]
struct Node {
    /// The first line is the name.
    lines: Vec<(String, TextStyle)>,
    /// The output's shape, where it is written.
    shape: Option<String>,
    color: Color,
    /// True if the box is a residual block with its shortcut.
    residual: bool,
}

impl Node {
    fn new(layer: &Layer, shape: Option<String>) -> Node {
        let (name, settings) = layer.words();
        let parameters = layer.parameters();
        let small = settings.is_empty() && parameters == 0;
        let mut lines = vec![(name, if small { SMALL } else { NAME })];
        lines.extend(settings.into_iter().map(|setting| (setting, theme::TICK)));
        lines.extend(
            (parameters > 0).then(|| (format!("{} parameters", thousands(parameters)), SMALL)),
        );
        let residual = matches!(
            layer,
            Layer::Residual { .. } | Layer::InvertedResidual { shortcut: true, .. }
        );
        Node { lines, shape, color: color(layer), residual }
    }

    fn small(name: &str, color: Color, shape: Option<String>) -> Node {
        Node { lines: vec![(name.to_string(), SMALL)], shape, color, residual: false }
    }

    fn width(&self) -> f64 {
        let lines = self.lines.iter().map(|(line, style)| text_width(line, *style) + 18.0);
        let shape = self.shape.iter().map(|shape| text_width(shape, theme::TICK) + 2.0);
        lines.chain(shape).fold(24.0, f64::max)
    }

    fn height(&self) -> f64 {
        if self.lines.len() == 1 {
            26.0
        } else {
            BOX_HEIGHT.max(LINE * self.lines.len() as f64 + 12.0)
        }
    }
}

fn color(layer: &Layer) -> Color {
    match layer {
        Layer::Conv2d { .. } | Layer::Residual { .. } | Layer::InvertedResidual { .. } => {
            theme::PALE_BLUE
        }
        Layer::Linear { .. } => theme::PALE_ORANGE,
        Layer::MaxPool2d { .. } | Layer::GlobalAveragePool => theme::PALE_GREEN,
        Layer::BatchNorm2d { .. } => theme::PALE_PURPLE,
        _ => theme::PALE_GRAY,
    }
}

struct Diagram {
    nodes: Vec<Node>,
    /// The beginning and the end of the only shortcut of an expanded block, and the layers on it.
    around: Option<(usize, usize, String)>,
}

impl Diagram {
    fn new(layers: &[Layer], input: &[i64]) -> Result<Diagram> {
        ensure!(
            !input.is_empty() && input.iter().all(|&size| (1..=4096).contains(&size)),
            "the input shape is {input:?}, expected sizes of 1 to 4096, such as [1, 28, 28]"
        );
        let size: Vec<i64> = [1].iter().chain(input).copied().collect();
        let mut x = Tensor::f_zeros(size, (Kind::Float, device(layers)))?;
        let mut nodes = vec![Node::small("input", theme::WHITE, Some(shape(&x)))];
        let mut around = None;
        if let [Layer::Residual { main, shortcut }] = layers {
            let start = x.shallow_clone();
            add(&mut nodes, main, &mut x)?;
            nodes.push(Node::small("+", theme::WHITE, None));
            let mut on_it = Vec::new();
            let mut y = start;
            for layer in shortcut {
                y = layer.forward(&y)?;
                on_it.push(layer.to_string());
            }
            let label = if on_it.is_empty() { "shortcut".to_string() } else { on_it.join(", ") };
            around = Some((0, nodes.len() - 1, label));
            add(&mut nodes, &[Layer::Relu], &mut x)?;
        } else {
            add(&mut nodes, layers, &mut x)?;
        }
        Ok(Diagram { nodes, around })
    }

    /// Width and height of the diagram in rows of at most `room` pixels.
    fn size(&self, room: f64) -> (f64, f64) {
        let rows = self.rows(room);
        let width = rows.iter().map(|row| self.row_width(row)).fold(0.0, f64::max);
        let heights: f64 = rows.iter().map(|row| self.row_height(row)).sum();
        let right = if rows.len() > 1 { TURN } else { 0.0 };
        (width + right, heights + ROWS * (rows.len() - 1) as f64)
    }

    /// The indices of the nodes of each row: as few rows as fit, about equally long.
    fn rows(&self, room: f64) -> Vec<std::ops::Range<usize>> {
        let rows = self.filled(room);
        if self.around.is_some() {
            return std::iter::once(0..self.nodes.len()).collect();
        }
        let narrower =
            (1..).map(|step| room - 10.0 * f64::from(step)).take_while(|&room| room > 0.0);
        let same = |narrow: &Vec<_>| narrow.len() == rows.len();
        narrower.map(|room| self.filled(room)).take_while(same).last().unwrap_or(rows)
    }

    /// Fills each row before the next one.
    fn filled(&self, room: f64) -> Vec<std::ops::Range<usize>> {
        let whole = 0..self.nodes.len();
        if self.row_width(&whole) <= room + 1e-6 {
            return std::iter::once(whole).collect();
        }
        let room = room - TURN;
        let mut rows = Vec::new();
        let (mut start, mut used) = (0, -ARROW);
        for (index, node) in self.nodes.iter().enumerate() {
            let wanted = ARROW + node.width();
            if used + wanted > room + 1e-6 && index > start {
                rows.push(start..index);
                (start, used) = (index, -ARROW);
            }
            used += wanted;
        }
        rows.push(start..self.nodes.len());
        rows
    }

    fn row_width(&self, row: &std::ops::Range<usize>) -> f64 {
        let nodes = &self.nodes[row.clone()];
        nodes.iter().map(Node::width).sum::<f64>() + ARROW * (nodes.len() - 1) as f64
    }

    fn row_height(&self, row: &std::ops::Range<usize>) -> f64 {
        self.above(row) + self.box_height(row) + SHAPES
    }

    fn box_height(&self, row: &std::ops::Range<usize>) -> f64 {
        self.nodes[row.clone()].iter().map(Node::height).fold(0.0, f64::max)
    }

    /// The room above a row for shortcuts.
    fn above(&self, row: &std::ops::Range<usize>) -> f64 {
        let residual = self.nodes[row.clone()].iter().any(|node| node.residual);
        if residual || self.around.is_some() { SHORTCUT } else { 0.0 }
    }

    fn draw(&self, part: &Part) -> Result<()> {
        let (width, height) = self.size(part.width());
        ensure!(
            width <= part.width() + 1e-6 && height <= part.height() + 1e-6,
            "no room for the diagram, which needs {:.0} × {:.0} pixels; give the figure a larger size",
            width.ceil() + 2.0 * theme::MARGIN,
            height.ceil() + 2.0 * theme::MARGIN
        );
        let rows = self.rows(part.width());
        let mut top = (part.height() - height) / 2.0;
        let left = (part.width() - width) / 2.0;
        for (index, row) in rows.iter().enumerate() {
            let middle = top + self.above(row) + self.box_height(row) / 2.0;
            let end = self.draw_row(part, row, (left, middle));
            top += self.row_height(row) + ROWS;
            if let Some(next) = rows.get(index + 1) {
                // The arrow leads around the shapes to the first box of the next row.
                let turn = top - ROWS / 2.0 - 2.0;
                let entry = left + self.nodes[next.start].width() / 2.0;
                let height = self.nodes[next.start].height();
                let onto = top + self.above(next) + (self.box_height(next) - height) / 2.0;
                let edge = end + TURN;
                arrow(
                    part,
                    &[(end, middle), (edge, middle), (edge, turn), (entry, turn), (entry, onto)],
                );
            }
        }
        Ok(())
    }

    /// Draws the boxes of a row around the height `middle`; returns the right edge of the last one.
    fn draw_row(
        &self,
        part: &Part,
        row: &std::ops::Range<usize>,
        (left, middle): (f64, f64),
    ) -> f64 {
        let below = middle + self.box_height(row) / 2.0 + SHAPES / 2.0;
        let above = middle - self.box_height(row) / 2.0;
        let mut x = left;
        let mut edges = Vec::new();
        for index in row.clone() {
            let node = &self.nodes[index];
            let (width, height) = (node.width(), node.height());
            if index > row.start {
                arrow(part, &[(x, middle), (x + ARROW, middle)]);
                x += ARROW;
            }
            let top = middle - height / 2.0;
            if node.residual {
                // It leaves the arrow to the box, which comes from above at the start of a row.
                let (level, to) = (above - 9.0, x + width + 0.3 * ARROW);
                let from = if index > row.start {
                    vec![(x - 0.3 * ARROW, middle), (x - 0.3 * ARROW, level)]
                } else {
                    vec![(x + width / 2.0, level)]
                };
                arrow(part, &[from, vec![(to, level), (to, middle)]].concat());
            }
            rounded(part, (x, top), (width, height), node.color);
            let first = middle - (node.lines.len() - 1) as f64 * LINE / 2.0;
            for (i, (line, style)) in node.lines.iter().enumerate() {
                let at = (x + width / 2.0, first + i as f64 * LINE);
                part.text(line, at, *style, HPos::Center, width);
            }
            if let Some(shape) = &node.shape {
                let at = (x + width / 2.0, below);
                part.text(shape, at, theme::TICK.color(theme::AXIS), HPos::Center, width);
            }
            edges.push((x, x + width));
            x += width;
        }
        if let Some((from, to, label)) = &self.around {
            let from = edges[*from].1 + ARROW * 0.4;
            let to = (edges[*to].0 + edges[*to].1) / 2.0;
            let level = above - 8.0;
            arrow(part, &[(from, middle), (from, level), (to, level), (to, middle - 13.0)]);
            let at = ((from + to) / 2.0, level - 11.0);
            part.text(label, at, theme::TICK, HPos::Center, to - from);
        }
        x
    }
}

/// Adds a box for each layer and applies the layers to `x`.
fn add(nodes: &mut Vec<Node>, layers: &[Layer], x: &mut Tensor) -> Result<()> {
    for (index, layer) in layers.iter().enumerate() {
        let y = layer.forward(x).with_context(|| format!("layer {}", index + 1))?;
        let changed =
            (y.size() != x.size() || layer.parameters() > 0 && !is_norm(layer)).then(|| shape(&y));
        nodes.push(Node::new(layer, changed));
        *x = y;
    }
    Ok(())
}

fn is_norm(layer: &Layer) -> bool {
    matches!(layer, Layer::BatchNorm2d { .. })
}

/// The shape of one output, without the batch.
fn shape(x: &Tensor) -> String {
    format!("{:?}", &x.size()[1..])
}

/// Draws a line through points with a head at its end.
fn arrow(part: &Part, points: &[(f64, f64)]) {
    const HEAD: f64 = 6.0;
    let [.., from, to] = points else { return };
    let (dx, dy) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
    let (dx, dy) =
        if (to.0 - from.0).abs() > (to.1 - from.1).abs() { (dx, 0.0) } else { (0.0, dy) };
    let base = (to.0 - HEAD * dx, to.1 - HEAD * dy);
    let mut line = points.to_vec();
    line.pop();
    line.push(base);
    part.line(&line, 1.25, theme::AXIS);
    let half = HEAD * 0.55;
    let corner = |sign: f64| (base.0 + sign * half * dy, base.1 + sign * half * dx);
    part.polygon(&[*to, corner(1.0), corner(-1.0)], theme::AXIS);
}

/// Draws a box with round corners and a thin border.
fn rounded(part: &Part, (left, top): (f64, f64), (width, height): (f64, f64), color: Color) {
    const STEPS: i32 = 6;
    let (right, bottom) = (left + width, top + height);
    // The middle of each corner's arc, and the angle where the arc begins.
    let corners = [
        (right - CORNER, top + CORNER, -90.0),
        (right - CORNER, bottom - CORNER, 0.0),
        (left + CORNER, bottom - CORNER, 90.0),
        (left + CORNER, top + CORNER, 180.0),
    ];
    let mut points = Vec::new();
    for (x, y, start) in corners {
        for step in 0..=STEPS {
            let angle = f64::to_radians(start + 90.0 * f64::from(step) / f64::from(STEPS));
            points.push((x + CORNER * angle.cos(), y + CORNER * angle.sin()));
        }
    }
    part.polygon(&points, color);
    points.extend(points.first().copied());
    part.line(&points, 1.0, theme::AXIS);
}
