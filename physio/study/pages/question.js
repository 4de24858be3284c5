// One item of a questionnaire: buttons, figures or a line, by keyboard, mouse or touch.
function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function points(question, choose) {
  const list = element("div", question.figures.length ? "points sam" : "points");
  const few = question.high - question.low;
  for (let value = question.low; value <= question.high; value++) {
    const label = element("label", "point"), input = element("input");
    input.type = "radio";
    input.name = "answer";
    input.value = value;
    const place = value - question.low, ends = { 0: question.anchors[0], [few]: question.anchors[1] };
    const words = question.labels[place] || "";
    input.setAttribute("aria-label", [value, words || ends[place]].filter(Boolean).join(", "));
    input.onchange = () => choose(value);
    label.append(input);
    if (question.figures.length) {
      const figure = element("span", place % 2 ? "none" : "figure");
      if (place % 2 === 0) figure.innerHTML = question.figures[place / 2]; // our own drawings
      label.append(figure);
    }
    label.append(element("span", "number", String(value)));
    if (words) label.append(element("small", "", words));
    else if (ends[place]) label.append(element("small", "end", ends[place]));
    list.append(label);
  }
  return list;
}

function line(question, choose) {
  const input = element("input", "line untouched");
  input.type = "range";
  input.min = question.low;
  input.max = question.high;
  input.step = "any";
  input.value = (question.low + question.high) / 2;
  input.setAttribute("aria-label", `${question.text} From ${question.anchors[0]} to ${question.anchors[1]}`);
  const touch = () => {
    input.classList.remove("untouched");
    choose(Math.round(10 * Number(input.value)) / 10);
  };
  input.oninput = touch;
  input.onpointerup = touch;
  input.onkeydown = (event) => {
    const step = (question.high - question.low) / 100;
    const move = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    input.value = Number(input.value) + move;
    touch();
  };
  return input;
}

export function showQuestion(section, question, answer) {
  const form = section.querySelector("form"), go = form.querySelector(".primary");
  let value = null, sent = false;
  const choose = (chosen) => { value = chosen; go.disabled = sent; };
  form.querySelector(".count").textContent = question.count > 1 ? `${question.number} of ${question.count}` : "";
  form.querySelector("legend").textContent = question.text;
  const ends = element("p", "ends");
  ends.append(element("span", "", question.anchors[0]), element("span", "", question.anchors[1]));
  const isLine = question.kind === "visual analogue";
  const scale = isLine ? line(question, choose) : points(question, choose);
  form.querySelector(".answers").replaceChildren(scale, ...(question.labels.length ? [] : [ends]));
  const back = form.querySelector(".back");
  back.hidden = question.number === 1;
  go.disabled = true;
  back.disabled = false;
  back.onclick = () => { sent = go.disabled = back.disabled = true; answer("back"); };
  form.onsubmit = (event) => {
    event.preventDefault();
    if (value === null || sent) return;
    sent = go.disabled = back.disabled = true;
    answer("answer", value);
  };
  form.onkeydown = (event) => {
    const input = isLine ? null : form.querySelector(`input[value="${event.key}"]`);
    if (input && /^\d$/.test(event.key)) { input.checked = true; input.focus(); choose(Number(event.key)); }
    if (event.key === "Enter" && event.target.type === "radio") { event.preventDefault(); form.requestSubmit(); }
  };
  requestAnimationFrame(() => form.querySelector("input")?.focus({ preventScroll: true }));
}
