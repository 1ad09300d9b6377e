'use strict';

// A Plot draws the last minute of some series of figures, one value a second each.
class Plot {
  constructor(canvas, series) {
    this.canvas = canvas;
    this.series = series.map((name) => ({name, values: []}));
  }

  // add takes one value for each series, in their order.
  add(...values) {
    values.forEach((v, i) => {
      const kept = this.series[i].values;
      kept.push(v);
      if (kept.length > Plot.seconds) kept.shift();
    });
    this.draw();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const g = this.canvas.getContext('2d');
    g.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => getComputedStyle(document.querySelector('.' + name)).color;
    const top = Plot.round(Math.max(1000, ...this.series.flatMap((s) => s.values)));
    const left = 70, bottom = height - 6, scale = (bottom - 10) / top;

    g.font = '12px ' + getComputedStyle(document.body).fontFamily;
    g.textAlign = 'right';
    g.textBaseline = 'middle';
    g.lineWidth = 1;
    for (let i = 0; i <= 2; i++) {
      const y = bottom - top * i / 2 * scale;
      g.strokeStyle = g.fillStyle = getComputedStyle(this.canvas.closest('section')).borderTopColor;
      g.beginPath();
      g.moveTo(left, y);
      g.lineTo(width, y);
      g.stroke();
      g.fillStyle = style.color;
      g.fillText(Plot.bits(top * i / 2), left - 8, y);
    }
    const step = (width - left) / (Plot.seconds - 1);
    for (const {name, values} of this.series) {
      g.strokeStyle = colour(name);
      g.lineWidth = 2;
      g.beginPath();
      values.forEach((v, i) => g.lineTo(width - (values.length - 1 - i) * step, bottom - v * scale));
      g.stroke();
    }
  }

  // round gives the next larger 1, 2 or 5 times a power of ten.
  static round(v) {
    const power = 10 ** Math.floor(Math.log10(v));
    return [1, 2, 5, 10].find((m) => m * power >= v) * power;
  }

  static bits(v) {
    for (const unit of ['b/s', 'kb/s', 'Mb/s']) {
      if (v < 1000) return `${+v.toPrecision(3)} ${unit}`;
      v /= 1000;
    }
    return `${+v.toPrecision(3)} Gb/s`;
  }
}
Plot.seconds = 60;
