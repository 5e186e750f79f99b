// A photograph from the computer's camera, in a dialog of its own. It leaves the browser only when it is taken.
window.takePhotograph = (send) => {
  const dialog = document.createElement("dialog");
  dialog.className = "webcam";
  dialog.setAttribute("aria-label", "Photograph from the camera");
  dialog.innerHTML = `<video autoplay playsinline muted></video><p hidden></p>
    <div><button class="take" disabled>Take the photograph</button><button class="leave">Cancel</button></div>`;
  const [video, said, take, leave] = ["video", "p", ".take", ".leave"].map((each) => dialog.querySelector(each));
  let stream;
  const complain = (message) => {
    said.textContent = message;
    said.hidden = false;
    video.hidden = true;
  };
  dialog.addEventListener("close", () => {
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
  });
  leave.addEventListener("click", () => dialog.close());
  take.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => send([new File([blob], "webcam.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.92);
    dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  if (!navigator.mediaDevices) {
    complain("Browsers give a camera only to pages of this computer, and to those with https.");
    return;
  }
  navigator.mediaDevices
    .getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } })
    .then((given) => {
      stream = given;
      if (!dialog.open) return stream.getTracks().forEach((track) => track.stop());
      video.srcObject = stream;
      video.addEventListener("loadeddata", () => (take.disabled = false));
    })
    .catch((error) => complain(`There is no camera to be had (${error.name}).`));
};
