// A photograph may be dropped anywhere on the page. UPLOADER is replaced by the number of the page's uploader.
(() => {
  const uploader = () => getElement(UPLOADER);
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
    uploader().addFiles([...event.dataTransfer.files].slice(0, 1));
  });
})();
