"use strict";
(() => {
  const rows = [...document.getElementById("records").tBodies[0].rows];
  const filters = [...document.querySelectorAll("select[data-filter]")];
  const cut = () => {
    for (const row of rows) row.hidden = filters.some((one) => one.value && row.dataset[one.dataset.filter] !== one.value);
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${rows.length} rows`;
  };
  for (const one of filters) one.addEventListener("change", cut);
})();
