//! Tables as `kubectl` prints them.

use std::fmt::Write as _;

/// Between two columns.
const GAP: usize = 3;

/// Rows under one another. Columns only grow, so that rows that come later stand below the
/// others.
#[derive(Debug, Default)]
pub(crate) struct Columns(Vec<usize>);

impl Columns {
    /// Rows, each as wide as the widest of all so far; the last column is as wide as it is.
    pub(crate) fn lines(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            self.0.resize(self.0.len().max(row.len()), 0);
            for (width, cell) in self.0.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in rows {
            let last = row.len().saturating_sub(1);
            for (at, (cell, width)) in row.iter().zip(&self.0).enumerate() {
                if at == last {
                    text.push_str(cell);
                } else {
                    let width = width + GAP;
                    let _ = write!(text, "{cell:width$}");
                }
            }
            text.push('\n');
        }
        text
    }
}

/// A headed table.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let headings = headings.iter().map(ToString::to_string).collect();
    let mut all = vec![headings];
    all.extend(rows);
    Columns::default().lines(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_three_spaces() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect();
        let rows = vec![row(&["a", "1/1", "x"]), row(&["long", "0/1", "y"])];
        let expected = "NAME   READY   AGE\na      1/1     x\nlong   0/1     y\n";
        assert_eq!(table(&["NAME", "READY", "AGE"], rows), expected);
    }
}
