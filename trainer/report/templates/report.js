"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)");

  /* "--name" or "--name/opacity" becomes the page's own colour of that name, in the present scheme. */
  function color(token) {
    const [name, opacity] = token.split("/");
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    if (!opacity) return hex;
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${red},${green},${blue},${opacity})`;
  }

  function coloured(value) {
    if (typeof value === "string") return /^--[a-z]+(-\d+)?(\/[\d.]+)?$/.test(value) ? color(value) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item)]));
  }

  function axis(own) {
    const base = { gridcolor: "--grid", zerolinecolor: "--rule", linecolor: "--rule", automargin: true, fixedrange: touch.matches };
    return { ...base, ...own };
  }

  function layout(figure, narrow) {
    const own = figure.layout;
    const base = {
      font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: figure.small || narrow ? 11 : 12, color: "--muted" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: figure.small ? { l: 8, r: 4, t: 6, b: 8 } : { l: 12, r: 12, t: 22, b: 12 },
      hovermode: figure.small ? "closest" : "x unified",
      hoverlabel: { bgcolor: "--card", bordercolor: "--rule", font: { color: "--ink" } },
      legend: { orientation: "h", yanchor: "top", y: narrow ? -0.28 : -0.2, x: 0, font: { color: "--ink" } },
      dragmode: touch.matches ? false : "zoom",
      bargap: 0.25,
    };
    return coloured({ ...base, ...own, xaxis: axis(own.xaxis), yaxis: axis(own.yaxis) });
  }

  async function draw(figure) {
    const place = document.getElementById(figure.id);
    const options = { responsive: true, displaylogo: false, displayModeBar: false };
    if (figure.layout.height) place.style.height = `${figure.layout.height}px`;
    await Plotly.react(place, coloured(figure.data), layout(figure, place.clientWidth < 500), options);
    if (figure.frames) await Plotly.addFrames(place, figure.frames);
    place.dataset.drawn = "yes";
  }

  /* One at a time, so that the page can be read and scrolled meanwhile. A folded section is drawn when it opens. */
  let latest = 0;
  async function drawAll() {
    const pass = ++latest;
    document.body.removeAttribute("data-drawn");
    for (const figure of figures) {
      if (pass !== latest) return;
      const folded = document.getElementById(figure.id).closest("details:not([open])");
      if (!folded) await draw(figure);
      await new Promise((resume) => setTimeout(resume, 0));
    }
    document.body.dataset.drawn = "yes";
  }

  for (const details of document.querySelectorAll("details.more")) {
    details.addEventListener("toggle", () => {
      if (details.open) figures.filter((figure) => details.querySelector(`#${figure.id}`)).forEach(draw);
    });
  }
  dark.addEventListener("change", drawAll);
  drawAll();
})();
