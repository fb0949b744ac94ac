//! Plots as SVG: bars on a logarithmic scale, and memory over time.

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::results::Results;
use crate::summary::Spread;

/// A plot that was drawn.
pub(super) struct Plot {
    pub(super) title: String,
    /// Its name in the folder of the page.
    pub(super) file: String,
}

/// The bars that belong to one scenario: for each target that has any, its place in the list of targets.
struct Row {
    label: String,
    bars: Vec<(usize, Spread)>,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const COLORS: [RGBColor; 4] =
    [RGBColor(20, 120, 90), RGBColor(200, 110, 30), RGBColor(80, 90, 160), RGBColor(120, 120, 120)];
const WIDTH: u32 = 900;
const ROW_HEIGHT: u32 = 34;
const LABELS_WIDTH: u32 = 210;

/// Draws everything that there are figures for.
pub(super) fn draw(
    folder: &Path,
    results: &Results,
    subject: &str,
    peer: &str,
) -> anyhow::Result<Vec<Plot>> {
    let targets = [subject, peer];
    let mut plots = vec![];
    for (file, figure, title) in [
        ("rate.svg", "per_second", "Operations per second (longer is better)"),
        ("latency.svg", "p99_ms", "99th percentile of latency, ms (shorter is better)"),
        (
            "cpu.svg",
            "cpu_seconds_per_1000",
            "CPU ms per operation, server and PostgreSQL (shorter is better)",
        ),
        ("memory.svg", "server_memory_mb", "Memory of the server, MB (shorter is better)"),
    ] {
        let rows = list_rows(results, figure, &targets);
        if !rows.is_empty() {
            draw_bars(&folder.join(file), title, &rows, &targets)
                .map_err(|error| anyhow!("{file}: {error}"))?;
            plots.push(Plot { title: title.to_owned(), file: file.to_owned() });
        }
    }
    if !results.samples.is_empty() {
        let file = "memory-over-time.svg".to_owned();
        draw_samples(&folder.join(&file), results).map_err(|error| anyhow!("{file}: {error}"))?;
        plots.push(Plot { title: "Memory of the server over time".to_owned(), file });
    }
    Ok(plots)
}

/// Scenarios that come at their own pace, whatever the server can do: their rate says nothing about it.
const PACED: &[&str] = &["fanout", "mixed", "soak", "idle"];

fn is_paced(scenario: &str) -> bool {
    let is_max = scenario.starts_with("mixed-max") || scenario == "idle-poll";
    !is_max && PACED.iter().any(|paced| scenario.starts_with(paced))
}

fn list_rows(results: &Results, figure: &str, targets: &[&str]) -> Vec<Row> {
    let row = |scenario: &String| {
        let bars: Vec<(usize, Spread)> = targets
            .iter()
            .enumerate()
            .filter_map(|(place, target)| Some((place, results.find(scenario, target, figure)?)))
            // A logarithm of nothing is nowhere.
            .filter(|(_, spread)| spread.min > 0.0)
            .collect();
        (!bars.is_empty()).then(|| Row { label: scenario.clone(), bars })
    };
    let shown = |scenario: &&String| figure != "per_second" || !is_paced(scenario);
    results.scenarios.iter().filter(shown).filter_map(row).collect()
}

/// One group of bars a row: the median as a bar, the range of the rounds as a line.
fn draw_bars(
    path: &Path,
    title: &str,
    rows: &[Row],
    targets: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    let count = u32::try_from(rows.len())?;
    let root = SVGBackend::new(path, (WIDTH, count * ROW_HEIGHT + 110)).into_drawing_area();
    root.fill(&WHITE)?;
    let values = || rows.iter().flat_map(|row| &row.bars).map(|(_, spread)| spread);
    let low = values().map(|spread| spread.min).fold(f64::INFINITY, f64::min);
    let high = values().map(|spread| spread.max).fold(0.0, f64::max);
    // The scale begins and ends with a power of ten, so that a bar's length means the same in every plot.
    let (low, high) =
        (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()).max(low * 10.0));
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(30)
        .y_label_area_size(LABELS_WIDTH)
        .build_cartesian_2d((low..high).log_scale(), 0.0..f64::from(count))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&f64::to_string)
        .draw()?;
    let thickness = 0.8 / f64::from(u32::try_from(targets.len())?);
    for (number, row) in (0_u32..).zip(rows) {
        let top = f64::from(count - number) - 0.1;
        for (place, spread) in &row.bars {
            let upper = top - thickness * f64::from(u32::try_from(*place)?);
            let (lower, middle) = (upper - thickness * 0.9, upper - thickness * 0.45);
            chart.draw_series([Rectangle::new(
                [(low, lower), (spread.median, upper)],
                color(*place).filled(),
            )])?;
            let range = vec![(spread.min, middle), (spread.max, middle)];
            chart.draw_series([PathElement::new(range, BLACK.stroke_width(1))])?;
        }
        let (_, y) = chart.backend_coord(&(low, f64::from(count - number) - 0.5));
        draw_label(&root, &row.label, y)?;
    }
    draw_legend(&root, targets)?;
    root.present()?;
    Ok(())
}

fn draw_label(root: &Canvas<'_>, label: &str, y: i32) -> Result<(), Box<dyn std::error::Error>> {
    let style = ("sans-serif", 13).into_text_style(root).pos(Pos::new(HPos::Right, VPos::Center));
    root.draw(&Text::new(label.to_owned(), (i32::try_from(LABELS_WIDTH)?, y), style))?;
    Ok(())
}

fn draw_legend(root: &Canvas<'_>, targets: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let (_, height) = root.dim_in_pixel();
    let y = i32::try_from(height)? - 18;
    for (place, target) in targets.iter().enumerate() {
        let x = i32::try_from(LABELS_WIDTH)? + 160 * i32::try_from(place)?;
        root.draw(&Rectangle::new([(x, y), (x + 12, y + 12)], color(place).filled()))?;
        root.draw(&Text::new((*target).to_owned(), (x + 18, y), ("sans-serif", 13).into_font()))?;
    }
    Ok(())
}

fn draw_samples(path: &Path, results: &Results) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (WIDTH, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let longest = results.samples.iter().map(|sample| sample.at_seconds).fold(1.0, f64::max);
    let highest = results.samples.iter().map(|sample| sample.memory_mb).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption("Memory of the server over time, MB", ("sans-serif", 18))
        .margin(24)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..longest, 0.0..highest * 1.1)?;
    chart.configure_mesh().x_desc("seconds").draw()?;
    let mut targets: Vec<&str> =
        results.samples.iter().map(|sample| sample.target.as_str()).collect();
    targets.dedup();
    targets.sort_unstable();
    targets.dedup();
    for (place, target) in targets.iter().enumerate() {
        let own = results.samples.iter().filter(|sample| sample.target == *target);
        let points = own.map(|sample| (sample.at_seconds, sample.memory_mb));
        chart.draw_series(LineSeries::new(points, color(place).stroke_width(2)))?;
    }
    draw_legend(&root, &targets)?;
    root.present()?;
    Ok(())
}

fn color(place: usize) -> RGBColor {
    COLORS.get(place % COLORS.len()).copied().unwrap_or(BLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_show_what_was_measured() {
        let mut results = Results::default();
        for (target, value) in [("myelin", 4000.0), ("synapse", 80.0)] {
            let line = format!(r#"{{"scenario":"send","target":"{target}","per_second":{value}}}"#);
            results.add(&line).unwrap();
        }
        let folder = std::env::temp_dir().join(format!("loadgen-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let plots = draw(&folder, &results, "myelin", "synapse").unwrap();
        let files: Vec<&str> = plots.iter().map(|plot| plot.file.as_str()).collect();
        let svg = std::fs::read_to_string(folder.join("rate.svg")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(files, ["rate.svg"]);
        for text in ["send", "synapse", "Operations per second"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
