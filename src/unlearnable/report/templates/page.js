"use strict";
(() => {
  // Where several settings are in one table, the first is shown; "all" shows the others too.
  for (const select of document.querySelectorAll("select.rows")) {
    const table = select.closest(".bar").nextElementSibling.querySelector("table");
    const cut = () => {
      for (const row of table.tBodies[0].rows) row.hidden = !!select.value && !!row.dataset.setting && row.dataset.setting !== select.value;
    };
    select.selectedIndex = 1;
    select.addEventListener("change", cut);
    cut();
  }

  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const draw = (figures) => {
    const narrow = () => window.innerWidth < 600;
    const config = { responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" },
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    const show = (plot) => {
      const select = document.querySelector(`select[data-panel="${plot.dataset.panel}"]`);
      const chart = figures[plot.dataset.panel][select ? Number(select.value) : 0][Number(plot.dataset.place)];
      plot.closest("div:not(.plot)").hidden = !chart;
      if (!chart) return;
      const layout = structuredClone(chart.layout);
      plot.style.minWidth = narrow() && layout.meta?.columns > 3 ? "600px" : "";
      if (narrow()) {
        layout.font = { ...layout.font, size: 11 };
        for (const axis of ["xaxis", "yaxis"]) if (layout[axis]?.tickfont) layout[axis].tickfont.size = 10;
        // Titles do not wrap by themselves.
        const title = layout.xaxis?.title;
        if (title?.text?.length > 36) title.text = title.text.replace(/(.{18,30}) /g, "$1<br>");
      }
      Plotly.react(plot, structuredClone(chart.data), layout, { ...config, displayModeBar: narrow() ? false : undefined });
    };
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); show(entry.target); }
    }, { rootMargin: "800px" });
    const plots = [...document.querySelectorAll(".plot")];
    // Figures are drawn as they come near; report.html?all draws them at once, for converters to PDF and the like.
    if (new URLSearchParams(location.search).has("all")) plots.forEach(show);
    else plots.forEach((plot) => seen.observe(plot));
    window.addEventListener("beforeprint", () => plots.forEach(show));
    for (const select of document.querySelectorAll("select[data-panel]")) {
      select.addEventListener("change", () => {
        plots.filter((plot) => plot.dataset.panel === select.dataset.panel).forEach(show);
        document.querySelectorAll(`[data-note^="${select.dataset.panel}-"]`).forEach((note) => {
          note.hidden = note.dataset.note !== `${select.dataset.panel}-${select.value}`;
        });
      });
    }
    document.documentElement.dataset.ready = "yes";
  };

  const start = async () => {
    const code = document.createElement("script");
    code.textContent = await unpack("plotly-code");
    document.head.append(code);
    draw(JSON.parse(await unpack("figures-data")));
  };
  start().catch((error) => {
    for (const plot of document.querySelectorAll(".plot")) {
      plot.textContent = "This browser can not draw the interactive figures (" + error.message + "). The folder figures/ has them as pictures.";
    }
  });
})();
