//! Curves on logarithmic axes.

use plotters::prelude::*;
use std::path::Path;

/// What is written at it.
pub(crate) struct Picture {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
}

/// The curve of a name: where, and how much.
pub(crate) type Curve = (&'static str, Vec<(f64, f64)>);

const SIZE: (u32, u32) = (800, 500);

const FONT: &str = "sans-serif";

pub(crate) fn draw(to: &Path, picture: &Picture, curves: &[Curve]) {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = || points().map(of);
        values().fold(f64::MAX, f64::min)..values().fold(0.0, f64::max)
    };
    let (x, y) = (range(|point| point.0), range(|point| point.1));
    let area = SVGBackend::new(to, SIZE).into_drawing_area();
    area.fill(&WHITE).expect("a picture");
    let mut chart = ChartBuilder::on(&area)
        .caption(picture.title, (FONT, 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(x.log_scale(), (y.start / 2.0..y.end * 2.0).log_scale())
        .expect("axes");
    chart
        .configure_mesh()
        .x_desc(picture.x)
        .y_desc(picture.y)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()
        .expect("a mesh");
    for (at, (name, points)) in curves.iter().enumerate() {
        let colour = Palette99::pick(at).stroke_width(if at == 0 { 3 } else { 1 });
        let curve = LineSeries::new(points.iter().copied(), colour).point_size(3);
        chart
            .draw_series(curve)
            .expect("a curve")
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .label_font((FONT, 13))
        .draw()
        .expect("a legend");
    area.present().expect("a file");
}
