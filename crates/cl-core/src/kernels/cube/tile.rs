//! Dot products of the rows of two tables, 64 × 64 at a time: what kernels do with all pairs of rows begins with these.
//!
//! A cube has 16 × 16 units; unit (x, y) has the products of rows y, y + 16, y + 32, y + 48 of one table with rows x, x + 16,
//! x + 32, x + 48 of the other.

// What #[cube] makes of a function cannot be given a word of its own.
#![allow(missing_docs)]

use cubecl::prelude::*;

/// Rows and columns of a tile.
pub const TILE: usize = 64;
/// Units of a cube along each side.
pub const SIDE: usize = 16;
/// Products of a unit along each side.
pub const EACH: usize = TILE / SIDE;
/// Columns of both tables that stand in shared memory at a time.
pub const DEPTH: usize = 16;
/// Distance of tiles' rows in shared memory: odd, so that units side by side meet different banks.
pub const PITCH: usize = TILE + 1;

/// Puts `DEPTH` columns from `column` on of the 64 rows from `first` on into shared memory, column after column; 0 outside.
#[cube]
fn load(tile: &mut SharedMemory<f32>, table: &Tensor<f32>, first: usize, column: usize) {
    let rows = table.shape(0);
    let columns = table.shape(1);
    let stride = table.stride(0);
    let unit = UNIT_POS as usize;
    #[unroll]
    for part in 0..comptime!(TILE * DEPTH / (SIDE * SIDE)) {
        let at = unit + part * comptime!(SIDE * SIDE);
        let row = first + at / DEPTH;
        let place = column + at % DEPTH;
        let inside = row < rows && place < columns;
        let value = table[select(inside, row * stride + place, 0usize)];
        tile[(at % DEPTH) * PITCH + at / DEPTH] = select(inside, value, f32::new(0.0));
    }
}

/// The unit's 4 × 4 dot products of rows of `x` from `x_first` on and rows of `y` from `y_first` on, into `products`; 0 for
/// rows outside.
///
/// `products` holds [`EACH`]² numbers, the tiles [`DEPTH`] · [`PITCH`] each. All units of a cube call it together; between two
/// calls they may read other shared memory, as a call with at least one column begins with a barrier.
#[cube]
pub fn dot_products(
    products: &mut Array<f32>,
    x_tile: &mut SharedMemory<f32>,
    y_tile: &mut SharedMemory<f32>,
    x: &Tensor<f32>,
    y: &Tensor<f32>,
    x_first: usize,
    y_first: usize,
) {
    let across = UNIT_POS_X as usize;
    let down = UNIT_POS_Y as usize;
    #[unroll]
    for at in 0..comptime!(EACH * EACH) {
        products[at] = f32::new(0.0);
    }
    let columns = x.shape(1);
    let mut column = 0usize;
    while column < columns {
        sync_cube();
        load(x_tile, x, x_first, column);
        load(y_tile, y, y_first, column);
        sync_cube();
        for depth in 0..DEPTH {
            #[unroll]
            for i in 0..EACH {
                let left = x_tile[depth * PITCH + down + i * SIDE];
                #[unroll]
                for j in 0..EACH {
                    products[i * EACH + j] += left * y_tile[depth * PITCH + across + j * SIDE];
                }
            }
        }
        column += DEPTH;
    }
}

/// Into how many shares of how many rows (whole tiles) `others` rows are cut, so that some hundred cubes have work
/// where there are few `rows`. It depends on these two numbers alone, as the order of sums does.
#[must_use]
pub fn shares(rows: usize, others: usize) -> (usize, usize) {
    const CUBES: usize = 512;
    /// Tiles that a cube should at least go through.
    const TILES: usize = 4;
    let tiles = others.div_ceil(TILE);
    let wanted = CUBES.div_ceil(rows.div_ceil(TILE)).min(tiles.div_ceil(TILES)).max(1);
    let each = tiles.div_ceil(wanted) * TILE;
    (others.div_ceil(each), each)
}
