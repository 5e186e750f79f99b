// What concerns the whole page. UPLOADER is replaced by the number of the page's uploader.
(() => {
  const send = (files) => getElement(UPLOADER).addFiles([...files].slice(0, 1));
  window.openCamera = () => takePhotograph(send);

  // A photograph may be dropped anywhere on the page, or pasted.
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(false);
    send(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) send(event.clipboardData.files);
  });

  // Keys press the buttons of the same name.
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    const name = key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" ? "redo" : "";
    if (!name) return;
    event.preventDefault();
    document.querySelector(`[data-key=${name}]:not([disabled])`)?.click();
  });

  // Light or dark: as the system has it, until the visitor chooses.
  const THEME = "mofa3d-theme";
  const show = (theme) => setDark(theme === "dark");
  window.switchTheme = () => {
    const theme = document.body.classList.contains("body--dark") ? "light" : "dark";
    localStorage.setItem(THEME, theme);
    show(theme);
  };
  const kept = localStorage.getItem(THEME);
  const begin = () => (document.querySelector(".page") ? show(kept) : setTimeout(begin, 20)); // once it is there
  if (kept) begin();
})();
